"""Training a base encoder: vocabulary, texts, examples, the model and its export."""
