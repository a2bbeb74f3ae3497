"""Recipes: complete configurations as Python functions."""
