"""Adam as in BERT: weight decay on matrices only, linear warm-up and decay of the learning rate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

from openrealm.config import warmup_rule
from openrealm.train.task import ParameterGroup

if TYPE_CHECKING:
    from openrealm.model.realm import Realm


class LearningRates(Protocol):
    """Peak learning rates in a section of the configuration; None means `learning_rate`."""

    @property
    def learning_rate(self) -> float:
        """For encoders."""
        ...

    @property
    def head_learning_rate(self) -> float | None:
        """For heads."""
        ...

    @property
    def tower_learning_rate(self) -> float | None:
        """For the towers of the retriever."""
        ...


def peak_rates(settings: LearningRates) -> tuple[float, float, float]:
    """Peak learning rates of encoder, head and towers, with None replaced by the encoder's."""
    rate, head_rate, tower_rate = settings.learning_rate, settings.head_learning_rate, settings.tower_learning_rate
    return rate, rate if head_rate is None else head_rate, rate if tower_rate is None else tower_rate


def pretraining_groups(model: Realm, settings: LearningRates) -> list[ParameterGroup]:
    """Parameters and peak rates of the reader's encoder, its masked-token head, and the towers."""
    rate, head_rate, tower_rate = peak_rates(settings)
    return [
        (model.reader.encoder.parameters(), rate),
        (model.reader.head.parameters(), head_rate),
        (model.retriever.parameters(), tower_rate),
    ]


def num_warmup_steps(num_steps: int, warmup_steps: int | None) -> int:
    """Warm-up steps: as given or by `config.warmup_rule`, but never more than half of all steps."""
    return min(warmup_rule(num_steps) if warmup_steps is None else warmup_steps, max(1, num_steps // 2))


def rate_factor(step: int, num_steps: int, warmup_steps: int | None) -> float:
    """Fraction of the peak learning rate at `step` (from 0): linear warm-up, then linear decay to 0.

    >>> [rate_factor(step, 10, 2) for step in (0, 1, 2, 6)]
    [0.5, 1.0, 1.0, 0.5]
    """
    warmup = num_warmup_steps(num_steps, warmup_steps)
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (num_steps - step) / max(1, num_steps - warmup))


def timed_rate_factor(step: int, share_done: float, warmup_steps: int) -> float:
    """`rate_factor` for training limited by time, of which the fraction `share_done` (0 to 1) has passed."""
    return min(1.0, (step + 1) / max(1, warmup_steps)) * max(0.0, 1.0 - share_done)


def adam(groups: Iterable[tuple[Iterable[nn.Parameter], float]], weight_decay: float) -> torch.optim.AdamW:
    """AdamW over (parameters, peak learning rate) groups, without frozen parameters.

    A parameter in several groups belongs to the first. `weight_decay` applies to matrices, not to biases and norms.
    """
    out = []
    seen: set[int] = set()
    for parameters, rate in groups:
        mine = [p for p in dict.fromkeys(parameters) if p.requires_grad and id(p) not in seen]
        seen.update(map(id, mine))
        for decay, chosen in ((weight_decay, [p for p in mine if p.ndim > 1]), (0.0, [p for p in mine if p.ndim <= 1])):
            if chosen:
                out.append({"params": chosen, "lr": rate, "peak": rate, "weight_decay": decay})
    return torch.optim.AdamW(out, betas=(0.9, 0.999), eps=1e-6, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to `factor` times its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def grad_norm(module: nn.Module) -> float:
    """Euclidean norm of the gradients of all parameters of `module`; 0 if there are none."""
    grads = [p.grad for p in module.parameters() if p.grad is not None]
    return float(torch.nn.utils.get_total_norm(grads)) if grads else 0.0
