"""Data-parallel training by several processes (started by `torchrun`): ranks and what they exchange.

Each process computes its part of a batch: every num_ranks-th item, starting with the process's rank. Its losses are
scaled such that their mean over the processes is the loss of the whole batch (`Ranks.weight`); gradients are averaged.

Axes: N rows of a part, B rows of the whole batch, D dimensions.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from openrealm import interrupt, launch
from openrealm.errors import ProcessGone

# A process that does not take part for so long is taken for hung.
_TIMEOUT = datetime.timedelta(minutes=15)
# The other ranks wait while the first one builds corpora and indexes, and evaluates.
_LONG_TIMEOUT_SECONDS = 24 * 3600.0
_LONGEST_PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Ranks:
    """Process `rank` (from 0) of `num_ranks`; the first one writes and evaluates.

    All methods but `is_first` have to be called by all processes, and in the same order. Raises ProcessGone if another
    process has ended or does not take part.

    device  where tensors are exchanged
    """

    rank: int = 0
    num_ranks: int = 1
    device: str = "cpu"
    _store: Any = None
    _waits: Iterator[int] = field(default_factory=itertools.count)

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
        with _together():
            torch.distributed.all_reduce(flat)
        flat /= self.num_ranks
        start = 0
        for parameter, grad in zip(parameters, grads, strict=True):
            grad.copy_(flat[start : start + grad.numel()].view_as(grad))
            parameter.grad = grad
            start += grad.numel()
        return float(flat[-1])

    def average_row(self, row: Mapping[str, float]) -> dict[str, float]:
        """The means of all values over the ranks; one that a rank lacks counts as 0."""
        if self.num_ranks == 1:
            return dict(row)
        rows: list[dict[str, float]] = [json.loads(text) for text in self.texts(json.dumps(row))]
        names = dict.fromkeys(name for one in rows for name in one)
        return {name: sum(one.get(name, 0.0) for one in rows) / self.num_ranks for name in names}

    def total(self, count: float) -> float:
        """The sum of `count` over all ranks."""
        if self.num_ranks == 1:
            return count
        counted = torch.tensor([count], dtype=torch.float64, device=self.device)
        with _together():
            torch.distributed.all_reduce(counted)
        return float(counted)

    def weight(self, count: float) -> float:
        """What to multiply a mean over this rank's `count` items by, so that the mean over ranks is that of all items.

        >>> Ranks().weight(5)
        1.0
        """
        return 1.0 if self.num_ranks == 1 else count * self.num_ranks / max(self.total(count), 1.0)

    def gather(self, part_ND: Tensor) -> Tensor:
        """The rows of all ranks in the order of the batch, B x D, of which each has every num_ranks-th.

        The gradients that reach a row on any rank are added up where it came from.
        """
        if self.num_ranks == 1:
            return part_ND
        whole_BD: Tensor = _Gather.apply(part_ND, self)  # type: ignore[no-untyped-call]
        return whole_BD

    def texts(self, text: str) -> list[str]:
        """The `text` of every rank, on every rank."""
        if self.num_ranks == 1:
            return [text]
        sent = torch.tensor(list(text.encode()), dtype=torch.uint8)
        return [bytes(row.tolist()).decode() for row in self.bytes(sent)]

    def bytes(self, value: Tensor) -> list[Tensor]:
        """The bytes of every rank, on every rank, on the CPU: tensors of uint8 in one dimension."""
        if self.num_ranks == 1:
            return [value]
        sizes = [torch.zeros(1, dtype=torch.long, device=self.device) for _ in range(self.num_ranks)]
        with _together():
            torch.distributed.all_gather(sizes, torch.tensor([len(value)], device=self.device))
            longest = max(int(size) for size in sizes)
            padded = torch.zeros(longest, dtype=torch.uint8, device=self.device)
            padded[: len(value)] = value.to(self.device)
            rows = [torch.zeros_like(padded) for _ in range(self.num_ranks)]
            torch.distributed.all_gather(rows, padded)
        return [row[: int(size)].cpu() for row, size in zip(rows, sizes, strict=True)]

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by those of the first rank."""
        if self.num_ranks == 1:
            return
        with torch.no_grad(), _together():
            for tensor in tensors:
                whole = tensor.contiguous()
                torch.distributed.broadcast(whole, src=0)
                tensor.copy_(whole)

    def from_first(self, value: float) -> float:
        """The first rank's `value`, on every rank."""
        if self.num_ranks == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        self.share([shared])
        return float(shared)

    def text_from_first(self, text: str) -> str:
        """The first rank's `text`, on every rank."""
        return self.texts(text if self.is_first else "")[0]

    def wait(self) -> None:
        """Wait until the first rank has reached this call, for up to a day; the first one does not wait."""
        if self.num_ranks == 1:
            return
        key = f"openrealm/{next(self._waits)}"
        if self.is_first:
            self._store.set(key, "done")
            return
        pause, deadline = 0.001, time.monotonic() + _LONG_TIMEOUT_SECONDS
        with _together():
            while not self._store.check([key]):
                interrupt.check()
                if time.monotonic() > deadline:
                    raise RuntimeError("the first process did not get there")
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    @contextlib.contextmanager
    def first_before_others(self) -> Iterator[None]:
        """The first rank runs the block; when it is done, the others do, and find what the first has written."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()


class _Gather(torch.autograd.Function):
    """All rows forward; backward, the sum over ranks of the gradients of this rank's rows."""

    @staticmethod
    def forward(ctx: Any, part_ND: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        num_rows = round(ranks.total(len(part_ND)))
        padded = part_ND.new_zeros(-(-num_rows // ranks.num_ranks), *part_ND.shape[1:])
        padded[: len(part_ND)] = part_ND
        parts = [torch.empty_like(padded) for _ in range(ranks.num_ranks)]
        with _together():
            torch.distributed.all_gather(parts, padded)
        return torch.stack(parts, dim=1).flatten(0, 1)[:num_rows]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        summed_BD = grads[0].contiguous().clone()
        with _together():
            torch.distributed.all_reduce(summed_BD)
        return summed_BD[ctx.ranks.rank :: ctx.ranks.num_ranks], None


ALONE = Ranks()


@contextlib.contextmanager
def _together() -> Iterator[None]:
    """Turns what torch raises when another process has gone into one sentence."""
    try:
        yield
    except RuntimeError as error:
        interrupt.check()
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ProcessGone(
            "Another process of this training has ended or hangs; its own message says why. Start all of them again "
            f"with --resume. ({first_line})"
        ) from error


@contextlib.contextmanager
def all_ranks(device: str = "cpu") -> Iterator[Ranks]:
    """The ranks started by torchrun (NCCL on CUDA devices, otherwise Gloo); a single rank without torchrun.

    device  of this process, such as that of `engine_for`

    >>> with all_ranks() as ranks:
    ...     ranks.num_ranks
    1
    """
    if launch.num_ranks() == 1:
        yield Ranks()
        return
    on_cuda = device.startswith("cuda")
    if on_cuda:
        torch.cuda.set_device(device)
    with _together():
        store, rank, num_ranks = next(rendezvous("env://"))
        torch.distributed.init_process_group(
            "nccl" if on_cuda else "gloo", store=store, rank=rank, world_size=num_ranks, timeout=_TIMEOUT
        )
    try:
        yield Ranks(rank, num_ranks, device if on_cuda else "cpu", store)
    finally:
        torch.distributed.destroy_process_group()
