"""Skips and counts steps whose loss or gradient is not finite; the third in a row stops training."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from openrealm.errors import NonFinite
from openrealm.memory import release_freed

_MAX_IN_A_ROW = 3


class Guard:
    """Applies an optimiser step if loss and gradients are finite; otherwise skips and counts it."""

    def __init__(self, parameters: Iterable[nn.Parameter], clip_norm: float, *, free_memory_steps: int = 1) -> None:
        """`free_memory_steps`: steps between returns of freed memory to the system, each of which takes 0.03 s."""
        self._free_memory_steps = free_memory_steps
        self.parameters = [p for p in parameters if p.requires_grad]
        self._clip_norm = clip_norm
        self.num_skipped = 0
        self.num_in_a_row = 0

    def step(self, optimizer: torch.optim.Optimizer, loss: float, step: int) -> bool:
        """Clip the gradients and apply them; returns whether the step was applied.

        loss  the step's loss; NaN if it could not be computed
        step  the step's number (from 0), for the message
        Raises NonFinite at the third skipped step in a row.
        """
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, self._clip_norm))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self._skip(optimizer, step)
            return False
        optimizer.step()
        self.num_in_a_row = 0
        optimizer.zero_grad(set_to_none=True)
        if step % self._free_memory_steps == 0:
            release_freed()
        return True

    def _skip(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        self.num_skipped += 1
        self.num_in_a_row += 1
        optimizer.zero_grad(set_to_none=True)
        if self.num_in_a_row >= _MAX_IN_A_ROW:
            raise NonFinite(
                f"The loss or a gradient was not finite at step {step} and the two before it. Checkpoints are intact: "
                "resume with a lower learning rate."
            )
