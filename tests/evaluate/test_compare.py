"""Confidence intervals: against theory, against a slow loop, and reproducible by seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.errors import BadInput, NonFinite, ShapeMismatch
from openrealm.evaluate import compare
from openrealm.evaluate.compare import mean_interval, paired_difference, paired_difference_over_seeds


def test_the_interval_of_a_share_is_close_to_the_normal_approximation() -> None:
    values = np.repeat([0.0, 1.0], [420, 180])
    interval = mean_interval(values)
    half = 1.96 * np.sqrt(0.3 * 0.7 / 600)
    assert interval.mean == pytest.approx(0.3)
    assert interval.low == pytest.approx(0.3 - half, abs=0.004)
    assert interval.high == pytest.approx(0.3 + half, abs=0.004)


def test_bounds_are_quantiles_of_resampled_means() -> None:
    values = np.array([0.0, 0.5, 2.0, 7.0])
    rng = np.random.default_rng(3)
    means = [np.mean([values[i] for i in rng.integers(4, size=4)]) for _ in range(500)]
    low, high = np.quantile(means, [0.05, 0.95])
    assert mean_interval(values, level=0.9, num_resamples=500, seed=3) == compare.Interval(2.375, low, high)


def test_the_block_size_does_not_change_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(10.0)
    interval = mean_interval(values, num_resamples=100)
    monkeypatch.setattr(compare, "_MAX_DRAWS_AT_ONCE", 30)
    assert mean_interval(values, num_resamples=100) == interval


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.integers(0, 9))
def test_the_bounds_lie_within_the_values(values: list[float], seed: int) -> None:
    interval = mean_interval(values, num_resamples=200, seed=seed)
    slack = 1e-9
    assert min(values) - slack <= interval.low <= interval.high <= max(values) + slack
    assert interval.mean == pytest.approx(np.mean(values))
    assert interval == mean_interval(values, num_resamples=200, seed=seed)


def test_a_paired_difference_is_sharper_than_two_intervals() -> None:
    rng = np.random.default_rng(0)
    hardness = rng.random(400)
    first, second = (hardness < 0.53).astype(float), (hardness < 0.50).astype(float)
    difference = paired_difference(first, second)
    assert difference.mean == pytest.approx(np.mean(first) - np.mean(second))
    assert difference.low > 0
    assert mean_interval(second).high > mean_interval(first).low  # separately, the two overlap
    same = paired_difference(first, first)
    assert same.low <= 0 <= same.high
    flipped = paired_difference(second, first)
    assert (flipped.low, flipped.high) == pytest.approx((-difference.high, -difference.low), abs=0.004)


def test_invalid_values_are_rejected() -> None:
    with pytest.raises(BadInput, match="empty"):
        mean_interval([])
    with pytest.raises(BadInput, match="level"):
        mean_interval([1.0], level=1.0)
    with pytest.raises(NonFinite, match=r"value_N\[1\] is nan"):
        mean_interval([1.0, float("nan")])
    with pytest.raises(ShapeMismatch, match="2 axes"):
        mean_interval([[1.0]])
    with pytest.raises(ShapeMismatch, match="same questions"):
        paired_difference([1.0, 2.0], [1.0])


def test_seeds_are_resampled_as_well_as_questions() -> None:
    first, second = np.array([[1.0, 0.0, 3.0], [2.0, 0.5, 1.0]]), np.array([[0.0, 0.0, 1.0], [2.0, 2.0, 2.0]])
    rng = np.random.default_rng(5)
    means = []
    for seeds in rng.integers(2, size=(400, 2)):
        questions = rng.integers(3, size=(1, 3))[0]
        means.append(np.mean([first[s, q] - second[s, q] for s in seeds for q in questions]))
    found = paired_difference_over_seeds(first, second, num_resamples=400, seed=5)
    assert found.mean == pytest.approx(0.5 / 6)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


def test_with_one_seed_only_questions_are_resampled() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(200) < 0.5, rng.random(200) < 0.3
    one, plain = paired_difference_over_seeds([first], [second]), paired_difference(first, second)
    assert (one.mean, one.low, one.high) == pytest.approx((plain.mean, plain.low, plain.high), abs=0.006)


@pytest.mark.parametrize("second", [[[1.0, 2.0]], [1.0, 2.0]])
def test_seeds_and_questions_have_to_match(second: list[object]) -> None:
    with pytest.raises(ShapeMismatch, match="a row for each seed and a column for each question"):
        paired_difference_over_seeds([[1.0, 2.0], [3.0, 4.0]], second)  # type: ignore[arg-type]
