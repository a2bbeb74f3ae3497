"""A step that is not finite is skipped and counted, and the third in a row stops training (docs/faults.md, 10)."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from openrealm.errors import NonFinite
from openrealm.train.guard import Guard


class Bench:
    """Weights of 1, gradient descent with learning rate 1, and given gradients."""

    def __init__(self, clip_norm: float = 100.0) -> None:
        self.weight = nn.Parameter(torch.ones(2))
        self.optimizer = torch.optim.SGD([self.weight], lr=1.0)
        self.guard = Guard([self.weight], clip_norm)
        self.number = 0

    def step(self, grad: float, loss: float = 0.5) -> bool:
        self.weight.grad = torch.tensor([grad, 0.0])
        self.number += 1
        applied = self.guard.step(self.optimizer, loss, self.number)
        assert self.weight.grad is None
        return applied


def test_a_good_step_is_applied() -> None:
    bench = Bench()
    assert bench.step(0.25)
    assert bench.weight.tolist() == [0.75, 1.0]
    assert bench.guard.num_skipped == 0


@pytest.mark.parametrize(("grad", "loss"), [(math.nan, 1.0), (math.inf, 1.0), (0.5, math.nan), (0.5, -math.inf)])
def test_a_bad_step_changes_nothing_and_is_counted(grad: float, loss: float) -> None:
    bench = Bench()
    assert not bench.step(grad, loss)
    assert bench.weight.tolist() == [1.0, 1.0]
    assert bench.guard.num_skipped == 1


def test_the_third_in_a_row_stops_training_unless_a_good_step_came_between() -> None:
    bench = Bench()
    for grad in (math.nan, math.nan, 0.1, math.inf, math.nan, 0.1, math.nan, math.nan):
        bench.step(grad)
    assert bench.guard.num_skipped == 6
    with pytest.raises(NonFinite, match=r"not finite at step 9 and the two before it\. .* with a lower learning rate"):
        bench.step(math.nan)
    assert bench.weight.isfinite().all()


def test_a_step_without_gradients_is_skipped_too() -> None:
    bench = Bench()
    assert not bench.guard.step(bench.optimizer, math.nan, 1)
    assert bench.weight.tolist() == [1.0, 1.0]
    assert bench.guard.num_skipped == 1


def test_gradients_are_clipped_to_the_norm() -> None:
    bench = Bench(clip_norm=0.5)
    bench.step(4.0)
    assert bench.weight.tolist() == pytest.approx([0.5, 1.0], rel=1e-5)


def test_frozen_parameters_are_ignored() -> None:
    frozen = nn.Parameter(torch.ones(1), requires_grad=False)
    weight = nn.Parameter(torch.ones(1))
    weight.grad, frozen.grad = torch.ones(1), torch.tensor([math.nan])
    assert Guard([frozen, weight], 1.0).step(torch.optim.SGD([weight], lr=1.0), 0.0, 1)
