"""Data-parallel training by several processes (started by `torchrun`): ranks and what they exchange."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from openrealm.engine import Engine

# Long, because the other ranks wait while the first one builds corpora and evaluates.
_TIMEOUT = datetime.timedelta(hours=3)


@dataclass(frozen=True, slots=True)
class Ranks:
    """Process `rank` (from 0) of `num_ranks`; the first one writes and evaluates."""

    rank: int = 0
    num_ranks: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def average(self, parameters: Sequence[nn.Parameter], loss: float) -> float:
        """Replace each gradient by its mean over all ranks, a missing one counting as 0; returns the mean loss.

        Every rank must call this at every step, with a loss of NaN if it has none: then all ranks skip the step.
        """
        if self.num_ranks == 1:
            return loss
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([*(grad.flatten() for grad in grads), grads[0].new_tensor([loss])])
        torch.distributed.all_reduce(flat)
        flat /= self.num_ranks
        start = 0
        for parameter, grad in zip(parameters, grads, strict=True):
            grad.copy_(flat[start : start + grad.numel()].view_as(grad))
            parameter.grad = grad
            start += grad.numel()
        return float(flat[-1])

    def wait(self, engine: Engine) -> None:
        """Wait until all ranks have reached this call."""
        self.from_first(0.0, engine)

    def from_first(self, value: float, engine: Engine) -> float:
        """The first rank's `value`, on every rank."""
        if self.num_ranks == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=engine.device)
        torch.distributed.broadcast(shared, src=0)
        return float(shared)


def local_device(device: str) -> str:
    """The device of this process: "cuda" becomes the device of its local rank, others are returned unchanged."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if device == "cuda" else device


@contextlib.contextmanager
def all_ranks(engine: Engine) -> Iterator[Ranks]:
    """The ranks started by torchrun (NCCL on CUDA devices, otherwise Gloo); a single rank without torchrun."""
    num_ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if num_ranks == 1:
        yield Ranks()
        return
    on_cuda = engine.device.startswith("cuda")
    if on_cuda:
        torch.cuda.set_device(engine.device)
    torch.distributed.init_process_group("nccl" if on_cuda else "gloo", timeout=_TIMEOUT)
    try:
        yield Ranks(torch.distributed.get_rank(), num_ranks)
    finally:
        torch.distributed.destroy_process_group()
