"""What to mask: taggers that find names and dates, and the choice of the masked tokens (Guu et al. 2020, Sec. 3.4).

For the paper's ablation there are three strategies: salient spans, uniform tokens and random spans. Taggers are loaded
by name ("rules", "anchors", "spacy:NAME", "hf:NAME"). Only the Hugging Face tagger imports torch, when it is loaded.
"""
