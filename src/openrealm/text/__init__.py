"""Text to token ids and back: the tokenizer, and the packing of tokens into model inputs."""
