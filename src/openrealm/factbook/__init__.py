"""The CIA World Factbook: its text as a source, and questions about it."""
