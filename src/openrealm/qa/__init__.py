"""Training a model that answers questions about any text: questions with passages, the task, and export."""
