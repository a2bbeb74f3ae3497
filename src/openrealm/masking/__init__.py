"""What to mask: taggers that find names and dates, and the choice of the masked tokens (Guu et al. 2020, Sec. 3.4).

Three ways stand side by side for the paper's ablation: salient spans, uniform tokens and random spans. Taggers are
loaded by name ("rules", "anchors", "spacy:NAME", "hf:NAME"). No module here imports torch before a plug-in asks for it.
"""
