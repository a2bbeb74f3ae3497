"""A run on disk: its folder, its stages and their order, its questions and its report."""
