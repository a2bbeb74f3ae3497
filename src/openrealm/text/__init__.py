"""Text to token ids and back: the tokenizer wrapper and the packing of token rows into model inputs."""
