"""BERT's Adam: weight decay on matrices only, linear warm-up and decay of the learning rate."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from openrealm.config import warmup_rule


def num_warmup_steps(num_steps: int, warmup_steps: int | None) -> int:
    """Steps of warm-up: as given or by the paper's rule, and never more than half of all steps."""
    return min(warmup_rule(num_steps) if warmup_steps is None else warmup_steps, max(1, num_steps // 2))


def rate_factor(step: int, num_steps: int, warmup_steps: int | None) -> float:
    """Share of the peak learning rate at `step` (from 0): linear up over the warm-up, then linear down to 0.

    >>> [rate_factor(step, 10, 2) for step in (0, 1, 2, 6)]
    [0.5, 1.0, 1.0, 0.5]
    """
    warmup = num_warmup_steps(num_steps, warmup_steps)
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (num_steps - step) / max(1, num_steps - warmup))


def timed_rate_factor(step: int, share_done: float, warmup_steps: int) -> float:
    """`rate_factor` for a training that ends after a given time, of which `share_done` (0 to 1) has passed."""
    return min(1.0, (step + 1) / max(1, warmup_steps)) * max(0.0, 1.0 - share_done)


def adam(groups: Iterable[tuple[Iterable[nn.Parameter], float]], weight_decay: float) -> torch.optim.AdamW:
    """AdamW over (parameters, peak rate) groups; frozen parameters are left out, vectors do not decay."""
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
    """Set every group's rate to `factor` times its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def grad_norm(module: nn.Module) -> float:
    """Euclidean norm of all gradients below `module`."""
    grads = [p.grad for p in module.parameters() if p.grad is not None]
    return float(torch.nn.utils.get_total_norm(grads)) if grads else 0.0
