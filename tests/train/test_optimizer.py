"""Adam as in BERT: learning rate schedule, weight decay, and parameter groups."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from openrealm.train.optimizer import adam, grad_norm, rate_factor, set_rate


@given(st.integers(1, 500), st.one_of(st.none(), st.integers(0, 600)))
def test_the_learning_rate_rises_and_decays_linearly(num_steps: int, warmup_steps: int | None) -> None:
    factors = [rate_factor(step, num_steps, warmup_steps) for step in range(num_steps)]
    assert all(0 < factor <= 1 for factor in factors)
    assert max(factors) == 1
    peak = factors.index(1)
    for part in (factors[: peak + 1], factors[peak + 1 :]):
        slopes = [b - a for a, b in pairwise(part)]
        assert all(slope == pytest.approx(slopes[0], abs=1e-12) for slope in slopes)
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert rate_factor(num_steps, num_steps, warmup_steps) == 0 or num_steps <= 2


def test_the_default_warm_up_is_that_of_the_paper() -> None:
    assert rate_factor(0, 200_000, None) == 1 / 10_000
    assert rate_factor(9_999, 200_000, None) == 1
    assert rate_factor(10_000, 200_000, None) == 1
    assert rate_factor(105_000, 200_000, None) == 0.5
    assert rate_factor(0, 1000, None) == 1 / 100
    assert rate_factor(4, 20, 5) == rate_factor(5, 20, 5) == 1


def test_only_matrices_decay_and_frozen_or_repeated_parameters_are_dropped() -> None:
    first, second = nn.Linear(3, 2), nn.Linear(2, 2)
    second.bias.requires_grad_(False)
    groups = adam([(first.parameters(), 0.1), ([*first.parameters(), *second.parameters()], 0.2)], 0.01).param_groups
    found = {id(p): (g["lr"], g["peak"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert found == {
        id(first.weight): (0.1, 0.1, 0.01),
        id(first.bias): (0.1, 0.1, 0.0),
        id(second.weight): (0.2, 0.2, 0.01),
    }
    assert sum(len(g["params"]) for g in groups) == 3


def test_set_rate_scales_every_peak() -> None:
    one, two = nn.Linear(3, 2), nn.Linear(2, 2)
    optimizer = adam([(one.parameters(), 0.1), (two.parameters(), 0.4)], 0.01)
    set_rate(optimizer, 0.5)
    set_rate(optimizer, 0.25)
    assert {round(g["lr"], 12) for g in optimizer.param_groups} == {0.025, 0.1}


def test_one_step_is_adam_with_decoupled_decay() -> None:
    weight = nn.Parameter(torch.tensor([[2.0]]))
    optimizer = adam([([weight], 0.1)], 0.01)
    (weight * 3).sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    # In the first step, the bias-corrected moments give grad / |grad|.
    assert weight.item() == pytest.approx(2.0 * (1 - 0.1 * 0.01) - 0.1, rel=1e-5)


def test_the_gradient_norm_is_over_all_parameters() -> None:
    layer = nn.Linear(2, 1)
    assert grad_norm(layer) == 0
    layer.weight.grad, layer.bias.grad = torch.tensor([[3.0, 4.0]]), torch.tensor([12.0])
    assert grad_norm(layer) == pytest.approx(math.hypot(3, 4, 12))
