"""How good it is: answers against references, retrieval, intervals, and the report.

Every metric is a plain function of strings or numpy arrays; nothing here loads torch.
"""
