"""Answers questions with a trained model."""
