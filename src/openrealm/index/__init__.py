"""Immutable index versions, bound by digest to encoder, tokenizer and corpus, and the searches over them."""
