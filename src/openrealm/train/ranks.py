"""Several processes that train one model (started by `torchrun`): which one this is, and what they exchange."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from openrealm.engine import Engine

# The first rank builds corpora and evaluates while the others wait.
_PATIENCE = datetime.timedelta(hours=3)


@dataclass(frozen=True, slots=True)
class Ranks:
    """Process number `rank` of `num_ranks`; the first one writes and evaluates."""

    rank: int = 0
    num_ranks: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its mean over all ranks; a parameter without one counts as 0."""
        if self.num_ranks == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([parameter.grad.view(-1) for parameter in parameters if parameter.grad is not None])
        torch.distributed.all_reduce(flat)
        flat /= self.num_ranks
        start = 0
        for parameter in parameters:
            assert parameter.grad is not None
            parameter.grad.copy_(flat[start : start + parameter.numel()].view_as(parameter))
            start += parameter.numel()

    def wait(self, engine: Engine) -> None:
        """Wait until all ranks have arrived here."""
        self.from_first(0.0, engine)

    def from_first(self, value: float, engine: Engine) -> float:
        """The first rank's value, on all of them."""
        if self.num_ranks == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=engine.device)
        torch.distributed.broadcast(shared, src=0)
        return float(shared)


def local_device(device: str) -> str:
    """`device` for this process: "cuda" becomes the one with the process' number on its machine."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if device == "cuda" else device


@contextlib.contextmanager
def all_ranks(engine: Engine) -> Iterator[Ranks]:
    """The ranks that torchrun started (NCCL on CUDA devices, else Gloo); one rank where it started none."""
    num_ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if num_ranks == 1:
        yield Ranks()
        return
    on_cuda = engine.device.startswith("cuda")
    if on_cuda:
        torch.cuda.set_device(engine.device)
    torch.distributed.init_process_group("nccl" if on_cuda else "gloo", timeout=_PATIENCE)
    try:
        yield Ranks(torch.distributed.get_rank(), num_ranks)
    finally:
        torch.distributed.destroy_process_group()
