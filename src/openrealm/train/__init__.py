"""Warm start, joint pre-training with an index refreshed by another process, and fine-tuning."""
