"""Scores of ten thousand and more: sums stay finite in log space, and equal the same sums in decimals of any size."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from openrealm.model.marginal import marginal_log_likelihood
from openrealm.model.reading import Reading
from openrealm.model.realm import Realm
from openrealm.train.examples import Example

score = st.one_of(st.sampled_from([1e4, -1e4, 0.0]), st.floats(-1e4, 1e4))
log_probability = st.one_of(st.sampled_from([-1e4, 0.0]), st.floats(-1e4, 0.0))


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[float], list[list[float]]]:
    """Scores of K passages, and their log-probabilities at J masks."""
    num_candidates, num_masks = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    row = st.lists(log_probability, min_size=num_masks, max_size=num_masks)
    return (
        draw(st.lists(score, min_size=num_candidates, max_size=num_candidates)),
        draw(st.lists(row, min_size=num_candidates, max_size=num_candidates)),
    )


def exact(scores: list[float], readings: list[list[float]]) -> tuple[Decimal, list[Decimal]]:
    """log p(y|x) and r(z), by probabilities whose exponents have no bound."""
    weights = [Decimal(value).exp() for value in scores]
    prior = [weight / sum(weights) for weight in weights]
    joint = [p * sum(map(Decimal, row)).exp() for p, row in zip(prior, readings, strict=True)]
    return sum(joint).ln(), [value / sum(joint) - p for value, p in zip(joint, prior, strict=True)]


@pytest.mark.parametrize("per_token", [False, True])
@given(case=cases())
def test_value_and_gradient_are_those_of_unbounded_decimals(
    per_token: bool, case: tuple[list[float], list[list[float]]]
) -> None:
    scores, readings = case
    score_1K = torch.tensor([scores], dtype=torch.float64, requires_grad=True)
    gold_1KJ = torch.tensor([readings], dtype=torch.float64)
    mask_1J = torch.ones(1, gold_1KJ.shape[2], dtype=torch.bool)
    value_1 = marginal_log_likelihood(score_1K, gold_1KJ, mask_1J, per_token=per_token)
    (grad_1K,) = torch.autograd.grad(value_1.sum(), score_1K)
    columns = [[[row[j]] for row in readings] for j in range(len(readings[0]))] if per_token else [readings]
    parts = [exact(scores, column) for column in columns]
    value = sum(part[0] for part in parts) / len(parts)
    signal = [sum(part[1][k] for part in parts) / len(parts) for k in range(len(scores))]
    assert float(value_1.detach()) == pytest.approx(float(value), rel=1e-9, abs=1e-8)
    assert grad_1K[0].tolist() == pytest.approx([float(r) for r in signal], abs=1e-8)


@pytest.mark.parametrize("per_token", [False, True])
@given(case=cases())
def test_in_float32_value_and_gradient_stay_finite(
    per_token: bool, case: tuple[list[float], list[list[float]]]
) -> None:
    scores, readings = case
    score_1K = torch.tensor([scores], requires_grad=True)
    gold_1KJ = torch.tensor([readings]).requires_grad_()
    mask_1J = torch.ones(1, gold_1KJ.shape[2], dtype=torch.bool)
    value_1 = marginal_log_likelihood(score_1K, gold_1KJ, mask_1J, per_token=per_token)
    for grad in torch.autograd.grad(value_1.sum(), [score_1K, gold_1KJ]):
        assert bool(torch.isfinite(grad).all())
        # Neighbouring float32 numbers lie 4e-3 apart at 4e4, so that is how far a probability may be off.
        assert float(grad.abs().max()) <= 1 + 1e-2
    assert float(value_1.detach()) <= 1e-5


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_towers_that_score_ten_thousand_still_get_a_finite_gradient(
    sharp_realm: Callable[..., Realm],
    examples: list[Example],
    read_all: Callable[..., Reading],
    likelihood: Callable[..., Tensor],
    tower_gradient: Callable[..., Tensor],
    dtype: torch.dtype,
    per_token: bool,
) -> None:
    model = sharp_realm().to(dtype)
    with torch.no_grad():
        model.retriever.temperature = float(read_all(model, examples).score_BK.abs().max()) / 1e4
    reading = read_all(model, examples)
    assert float(reading.score_BK.detach().abs().max()) == pytest.approx(1e4, rel=1e-3)
    value_B = likelihood(reading, per_token)
    assert bool(torch.isfinite(value_B).all())
    assert bool(torch.isfinite(tower_gradient(model, value_B.sum())).all())
