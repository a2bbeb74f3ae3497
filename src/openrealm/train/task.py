"""What a trainer trains: the base class of all tasks."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from torch import Tensor, nn

if TYPE_CHECKING:
    from openrealm.train.trainer import Trainer

Number = float | int | str
Row = dict[str, Number]
Log = dict[str, Any]
ParameterGroup = tuple[Iterable[nn.Parameter], float]
BatchT = TypeVar("BatchT")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long a task trains and what happens when; a `Trainer` can override every field.

    num_steps         optimiser steps
    warmup_steps      steps over which the learning rate rises; None: a tenth of all, from 100 to 10,000
    weight_decay      Adam's, on matrices alone
    clip_norm         largest norm of the gradient
    eval_steps        steps between evaluations on held-out data; None: no evaluation
    checkpoint_steps  steps between checkpoints
    checkpoint_at_end whether the last step is followed by a checkpoint too
    log_steps         steps that one line of metrics.jsonl averages over
    free_memory_steps steps between two times that freed memory is returned to the system, which takes 0.03 s

    >>> import openrealm as orm
    >>> orm.tasks.Schedule(num_steps=100).checkpoint_steps
    1000
    """

    num_steps: int
    warmup_steps: int | None = None
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    eval_steps: int | None = None
    checkpoint_steps: int = 1000
    checkpoint_at_end: bool = False
    log_steps: int = 1
    free_memory_steps: int = 1

    @classmethod
    def from_settings(cls, settings: object, **fixed: Any) -> Schedule:
        """A schedule of the fields that `settings` has under the same names, such as a section of the configuration.

        fixed  values of the other fields
        """
        names = [field.name for field in fields(cls)]
        return cls(**{name: getattr(settings, name) for name in names if hasattr(settings, name)} | fixed)


class Task(ABC, Generic[BatchT]):
    """Batches by step, the losses of a batch, and what belongs to them.

    A `Trainer` calls `setup` once, then for every step `on_step_begin`, `batch` and `losses`. A batch must be a
    function of seed and step alone: together with `state` that makes a resumed run equal an uninterrupted one bit for
    bit.

    >>> import torch
    >>> import openrealm as orm
    >>> class Fit(orm.tasks.Task):
    ...     name = "fit"
    ...     schedule = orm.tasks.Schedule(num_steps=50)
    ...     def parameter_groups(self, model):
    ...         return [(model.parameters(), 0.1)]
    ...     def batch(self, step, rank=0, num_ranks=1):
    ...         return torch.tensor([[float(step % 3)]])
    ...     def losses(self, model, batch, log):
    ...         loss = (model(batch) - 2 * batch).square().mean()
    ...         log["loss"] = loss
    ...         yield loss
    >>> model = torch.nn.Linear(1, 1)
    >>> outcome = orm.Trainer(model, Fit(), "training/fit").train()
    >>> outcome.num_steps
    50
    """

    name: ClassVar[str]
    """Short name, used for folders and messages."""

    splits_batches: ClassVar[bool] = False
    """Whether `batch` deals its examples out to several processes."""

    schedule: Schedule
    trainer: Trainer

    def setup(self, trainer: Trainer) -> None:
        """Prepare `trainer.model` (freeze or add parts); the model is on its device, the optimiser not made yet."""
        self.trainer = trainer

    @abstractmethod
    def parameter_groups(self, model: Any) -> Sequence[ParameterGroup]:
        """(parameters, peak learning rate) pairs; a parameter that appears twice belongs to the first."""

    @abstractmethod
    def batch(self, step: int, rank: int = 0, num_ranks: int = 1) -> BatchT:
        """The batch of a step (from 0); with several processes, the part of it that falls to number `rank`."""

    def batches(self, first_step: int, rank: int = 0, num_ranks: int = 1) -> Iterator[BatchT]:
        """The batches from a step on; override to prepare them ahead of time."""
        return (self.batch(step, rank, num_ranks) for step in itertools.count(first_step))

    @abstractmethod
    def losses(self, model: Any, batch: BatchT, log: Log) -> Iterator[Tensor]:
        """Yield scalar losses; their gradients add up, and each is back-propagated before the next is asked for.

        One loss needs one `yield`. Several (micro-batches, several objectives) need the memory of one at a time.
        log  receives numbers (or scalar tensors) for metrics.jsonl; "num_tokens" becomes tokens per second
        Raises NonFinite to skip the step.
        """

    def on_step_begin(self, step: int) -> None:
        """Called before the batch of each step."""

    def step_row(self) -> Row:
        """More numbers to log, after the step."""
        return {}

    def evaluate(self, model: Any) -> Row:
        """Measures on held-out data; called every `schedule.eval_steps` steps, at the start and at the end."""
        return {}

    def note(self, row: Row) -> str:
        """What the progress line shows of a step."""
        return ", ".join(f"{name.replace('_', ' ')} {row[name]:.2f}" for name in row if name.endswith("loss"))

    def fingerprint(self) -> Any:
        """JSON values that decide what training computes: a checkpoint with other ones is refused."""
        return {}

    def state(self) -> dict[str, Any]:
        """JSON values to keep in a checkpoint, beside model, optimiser and random generators."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""

    def finish(self) -> None:
        """Called after the last step of a training that came to its end."""

    def close(self) -> None:
        """Release processes and files; called however training ends."""
