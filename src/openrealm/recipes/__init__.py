"""Whole configurations as Python functions, and the questions that the built-in quickstart asks."""
