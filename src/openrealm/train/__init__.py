"""Training: the trainer, its tasks, examples, candidates, answer spans, index refreshes and checkpoints."""
