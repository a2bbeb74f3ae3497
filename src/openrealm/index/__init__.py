"""Immutable index versions, bound by digest to passage tower, tokenizer and corpus; searchers and BM25."""
