"""Evaluation: answer and retrieval metrics, confidence intervals, and the report of a run.

Every metric is a plain function of strings or numpy arrays; none of them loads torch.
"""
