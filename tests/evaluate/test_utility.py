"""Retrieval utility and its neighbours, against loops over one query at a time and against the tensors of training."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.errors import ShapeMismatch
from openrealm.evaluate.utility import (
    entropy,
    expected_utility,
    null_mass,
    num_distinct_passages,
    retrieval_probability,
    retrieval_utility,
)

numbers = st.floats(-30, 30)


@st.composite
def readings(draw: st.DrawFn) -> tuple[list[list[float]], list[list[float]], list[list[bool]]]:
    num_queries, num_candidates = draw(st.integers(1, 4)), draw(st.integers(1, 5))

    def matrix(cell: st.SearchStrategy[float]) -> list[list[float]]:
        return [[draw(cell) for _ in range(num_candidates)] for _ in range(num_queries)]

    valid = [[True, *(draw(st.booleans()) for _ in range(num_candidates - 1))] for _ in range(num_queries)]
    return matrix(numbers), matrix(numbers), valid


def slow_expected_utility(logps: list[float], scores: list[float], valid: list[bool]) -> float:
    real = [k for k in range(1, len(scores)) if valid[k]]
    if not real:
        return 0.0
    total = sum(math.exp(scores[k]) for k in real)
    return sum(math.exp(scores[k]) / total * (logps[k] - logps[0]) for k in real)


@given(readings())
def test_against_one_query_at_a_time(reading: tuple[list[list[float]], list[list[float]], list[list[bool]]]) -> None:
    logp, score, valid = reading
    expected = [slow_expected_utility(*rows) for rows in zip(logp, score, valid, strict=True)]
    assert expected_utility(logp, score, valid).tolist() == pytest.approx(expected, abs=1e-9)
    probability = retrieval_probability(score, valid)
    assert probability.sum(axis=1).tolist() == pytest.approx([1.0] * len(score))
    for b, row in enumerate(score):
        total = sum(math.exp(s) for s, v in zip(row, valid[b], strict=True) if v)
        exact = [math.exp(s) / total if v else 0.0 for s, v in zip(row, valid[b], strict=True)]
        assert probability[b].tolist() == pytest.approx(exact)
        assert entropy(score, valid)[b] == pytest.approx(-sum(p * math.log(p) for p in exact if p > 0), abs=1e-9)
        assert null_mass(score, valid)[b] == pytest.approx(exact[0])


@given(readings())
def test_against_the_tensors_that_training_logs(
    reading: tuple[list[list[float]], list[list[float]], list[list[bool]]],
) -> None:
    torch = pytest.importorskip("torch")
    from openrealm.model import marginal

    logp, score, valid = reading
    ours = expected_utility(logp, score, valid)
    theirs = marginal.expected_utility(
        torch.tensor(score, dtype=torch.float64),
        torch.tensor(logp, dtype=torch.float64)[:, :, None],
        torch.ones(len(logp), 1, dtype=torch.bool),
        torch.tensor(valid),
    )
    assert ours.tolist() == pytest.approx(theirs.tolist(), abs=1e-9)


def test_utility_is_measured_from_the_null_passage() -> None:
    utility = retrieval_utility([[-5.0, -2.0, -9.0]])
    assert utility.tolist() == [[0.0, 3.0, -4.0]]
    assert expected_utility([[-5.0, -2.0, -9.0]], [[100.0, 0.0, 0.0]]).tolist() == [
        -0.5
    ]  # the null's score is no matter


def test_scores_far_apart_neither_overflow_nor_underflow() -> None:
    scores = [[900.0, 1000.0, -1000.0]]
    assert retrieval_probability(scores).tolist() == [[pytest.approx(math.exp(-100)), pytest.approx(1.0), 0.0]]
    assert entropy(scores)[0] == pytest.approx(100 * math.exp(-100), abs=1e-12)
    assert expected_utility([[-1.0, -0.5, -3.0]], [[2000.0, -1000.0, -1000.0]]).tolist() == [pytest.approx(-0.75)]


def test_a_query_without_real_candidates_gains_nothing() -> None:
    assert expected_utility([[-1.0, np.nan]], [[0.0, np.nan]], [[True, False]]).tolist() == [0.0]
    assert retrieval_probability([[1.0, 2.0]], [[False, False]]).tolist() == [[0.0, 0.0]]


def test_entropy_of_an_even_spread() -> None:
    assert entropy([[3.0, 3.0, 3.0, 3.0]])[0] == pytest.approx(math.log(4))


def test_distinct_passages_leave_out_the_null() -> None:
    assert num_distinct_passages([[-1, 4, 5], [-1, 5, -1]]) == 2
    assert num_distinct_passages(np.full((2, 2), -1)) == 0


def test_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(ShapeMismatch, match="score_BK is"):
        expected_utility([[0.0, 1.0]], [[0.0]])
    with pytest.raises(ShapeMismatch, match="valid_BK is"):
        entropy([[0.0, 1.0]], [[True]])
    with pytest.raises(ShapeMismatch, match="logp_BK has shape"):
        retrieval_utility([0.0])
