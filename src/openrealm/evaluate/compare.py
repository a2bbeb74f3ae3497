"""Bootstrap confidence intervals: of a mean over questions, and of the difference between two systems."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from openrealm.errors import BadInput, NonFinite, ShapeMismatch

Floats = npt.NDArray[np.float64]
_MAX_DRAWS_AT_ONCE = 4_000_000  # about 64 MB of indices and values

MIN_MEASURED = 20
"""With fewer questions a share of right answers says little: its interval is not shown."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its confidence bounds."""

    mean: float
    low: float
    high: float


def mean_interval(
    value_N: npt.ArrayLike, *, level: float = 0.95, num_resamples: int = 10_000, seed: int = 0
) -> Interval:
    """The mean of a metric over questions, with its percentile bootstrap interval (Efron and Tibshirani 1993, ch. 13).

    value_N         one number per question, e.g. exact match as 0 or 1
    The same seed gives the same interval. Raises BadInput if there are no values or the level is not in (0, 1),
    ShapeMismatch if value_N is not one-dimensional, NonFinite naming the first bad value.
    """
    values = _checked(value_N, "value_N")
    if not 0 < level < 1 or num_resamples < 1:
        raise BadInput(
            f"level is {level} and num_resamples is {num_resamples}; level must lie between 0 and 1, and num_resamples "
            "must be at least 1."
        )
    resampled = _resampled_means(values, num_resamples, np.random.default_rng(seed))
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def paired_difference(
    first_N: npt.ArrayLike, second_N: npt.ArrayLike, *, level: float = 0.95, num_resamples: int = 10_000, seed: int = 0
) -> Interval:
    """The mean of first - second with its interval, for two systems asked the same questions in the same order.

    Questions are resampled in pairs (paired bootstrap; Koehn 2004), which is far more sensitive than comparing two
    separate intervals. Raises ShapeMismatch if the lengths differ, and whatever `mean_interval` raises.
    """
    first, second = _checked(first_N, "first_N"), _checked(second_N, "second_N")
    if len(first) != len(second):
        raise ShapeMismatch(
            f"first_N has {len(first)} values but second_N has {len(second)}; both must cover the same questions."
        )
    return mean_interval(first - second, level=level, num_resamples=num_resamples, seed=seed)


def paired_difference_over_seeds(
    first_SN: npt.ArrayLike,
    second_SN: npt.ArrayLike,
    *,
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """`paired_difference` for systems trained with the same S seeds: seeds are resampled as well as questions.

    first_SN, second_SN  one row of values for each seed, in the same order
    With one seed this is `paired_difference`, which says nothing about other seeds. Raises ShapeMismatch if the shapes
    differ, and whatever `mean_interval` raises.
    """
    first, second = np.asarray(first_SN, dtype=np.float64), np.asarray(second_SN, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 2:
        raise ShapeMismatch(
            f"first_SN has the shape {first.shape} and second_SN {second.shape}; both must have a row for each seed "
            "and a column for each question."
        )
    difference_SN = first - second
    rng = np.random.default_rng(seed)
    _checked(difference_SN.flatten(), "first_SN - second_SN")
    num_seeds = len(difference_SN)
    means = np.concatenate(
        [
            _resampled_means(difference_SN[drawn].mean(axis=0), 1, rng)
            for drawn in rng.integers(num_seeds, size=(num_resamples, num_seeds))
        ]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(difference_SN.mean()), float(low), float(high))


def _checked(value_N: npt.ArrayLike, name: str) -> Floats:
    values = np.asarray(value_N, dtype=np.float64)
    if values.ndim != 1:
        raise ShapeMismatch(f"{name} has {values.ndim} axes; expected one number per question.")
    if not len(values):
        raise BadInput(f"{name} is empty; expected at least one question.")
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise NonFinite(f"{name}[{bad}] is {values[bad]}; expected a finite number.")
    return values


def _resampled_means(values: Floats, num_resamples: int, rng: np.random.Generator) -> Floats:
    """Means of `num_resamples` samples drawn with replacement, computed in blocks that fit into memory."""
    num_at_once = max(1, _MAX_DRAWS_AT_ONCE // len(values))
    blocks = [
        values[rng.integers(len(values), size=(min(num_at_once, num_resamples - start), len(values)))].mean(axis=1)
        for start in range(0, num_resamples, num_at_once)
    ]
    return np.concatenate(blocks)
