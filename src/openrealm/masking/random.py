"""Masks chosen regardless of meaning: uniform tokens, random spans (ablation of Guu et al. 2020, Table 2)."""

from __future__ import annotations

import numpy as np

MASKED_SHARE = 0.15
# SpanBERT's lengths (Joshi et al. 2020, Sec. 3.1): geometric with p = 0.2, at most ten tokens.
_STOP_PROBABILITY = 0.2
MAX_SPAN_TOKENS = 10


def uniform_positions(num_tokens: int, rng: np.random.Generator, *, share: float = MASKED_SHARE) -> list[int]:
    """Positions of `share` of the tokens, at least one, sorted, all equally likely; none if there are no tokens."""
    num_masked = min(num_tokens, max(1, round(share * num_tokens)))
    return [int(position) for position in np.sort(rng.permutation(num_tokens)[:num_masked])]


def random_span(num_tokens: int, rng: np.random.Generator, *, max_tokens: int = MAX_SPAN_TOKENS) -> tuple[int, int]:
    """A half-open token range: length geometric up to `max_tokens`, position uniform; (0, 0) if there are no tokens."""
    length = min(int(rng.geometric(_STOP_PROBABILITY)), max_tokens, num_tokens)
    start = int(rng.integers(num_tokens - length + 1))
    return start, start + length
