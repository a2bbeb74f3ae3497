"""Training a base encoder: vocabulary, texts, examples, task, evaluation and export."""
