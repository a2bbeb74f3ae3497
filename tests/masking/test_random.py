from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from openrealm.masking.random import MAX_SPAN_TOKENS, random_span, uniform_positions

seeds = st.integers(0, 1000)


@given(num_tokens=st.integers(0, 200), seed=seeds)
def test_uniform_positions_are_distinct_and_fifteen_per_cent(num_tokens: int, seed: int) -> None:
    positions = uniform_positions(num_tokens, np.random.default_rng(seed))
    assert positions == sorted(set(positions))
    assert all(0 <= position < num_tokens for position in positions)
    assert len(positions) == min(num_tokens, max(1, round(0.15 * num_tokens)))


@given(num_tokens=st.integers(0, 60), seed=seeds, max_tokens=st.integers(1, 12))
def test_a_random_span_lies_inside(num_tokens: int, seed: int, max_tokens: int) -> None:
    start, end = random_span(num_tokens, np.random.default_rng(seed), max_tokens=max_tokens)
    assert 0 <= start <= end <= num_tokens
    assert (start < end) == (num_tokens > 0)
    assert end - start <= max_tokens


def test_every_token_is_equally_likely() -> None:
    rng = np.random.default_rng(0)
    counts = np.bincount([p for _ in range(4000) for p in uniform_positions(20, rng)], minlength=20)
    assert np.all(np.abs(counts / 4000 - 0.15) < 0.03)


def test_lengths_are_geometric_and_places_uniform() -> None:
    rng = np.random.default_rng(0)
    spans = [random_span(40, rng) for _ in range(20_000)]
    lengths = np.array([end - start for start, end in spans])
    expected = 0.2 * 0.8 ** np.arange(MAX_SPAN_TOKENS - 1)
    shares = np.bincount(lengths, minlength=MAX_SPAN_TOKENS + 1)[1:] / len(spans)
    assert np.all(np.abs(shares[:-1] - expected) < 0.015)
    assert abs(shares[-1] - 0.8 ** (MAX_SPAN_TOKENS - 1)) < 0.015
    starts_of_ones = np.array([start for start, end in spans if end - start == 1])
    assert np.all(np.abs(np.bincount(starts_of_ones, minlength=40) / len(starts_of_ones) - 1 / 40) < 0.012)


def test_the_same_generator_gives_the_same_masks() -> None:
    one, two = np.random.default_rng(7), np.random.default_rng(7)
    assert [random_span(30, one) for _ in range(9)] == [random_span(30, two) for _ in range(9)]
    assert uniform_positions(30, one) == uniform_positions(30, two)
