"""QED: paragraphs of Wikipedia and questions that people asked about them, a text that comes with the package."""
