"""Several processes that train one model (`torchrun`): which one this is, and what they share."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from openrealm.engine import Engine

# The first rank builds corpora and measures while the others wait.
_PATIENCE = datetime.timedelta(hours=3)


@dataclass(frozen=True, slots=True)
class Ranks:
    """Number `rank` of `num_ranks` processes; the first one writes and measures."""

    rank: int = 0
    num_ranks: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def wrapped(self, model: nn.Module, *, all_used: bool = True) -> nn.Module:
        """`model` so that its gradients are the means over all ranks; `all_used`: every weight plays a part."""
        if self.num_ranks == 1:
            return model
        return nn.parallel.DistributedDataParallel(model, find_unused_parameters=not all_used)

    def wait(self, engine: Engine) -> None:
        """Until all ranks have come here."""
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
