"""The paper's equations and the networks they score with. No input or output but weights, and no index."""
