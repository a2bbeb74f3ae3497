"""The benchmark of retrieval on real questions: systems with the same encoder, budget and seeds."""
