"""Questions answered from a finished run."""
