"""`Task`, the base class of everything a `Trainer` can train, and `Schedule`."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from torch import Tensor, nn

from openrealm.errors import BadConfig

if TYPE_CHECKING:
    from openrealm.train.trainer import Trainer

Number = float | int | str
Row = dict[str, Number]
Log = dict[str, Any]
ParameterGroup = tuple[Iterable[nn.Parameter], float]
BatchT = TypeVar("BatchT")
_LEAST = {"num_steps": 0, "warmup_steps": 0} | dict.fromkeys(
    ("eval_steps", "checkpoint_steps", "log_steps", "free_memory_steps"), 1
)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Length of training and intervals of its events; every field can be overridden in `Trainer`.

    num_steps          optimiser steps
    warmup_steps       steps over which the learning rate rises; None means a tenth of all, between 100 and 10,000
    weight_decay       weight decay of Adam, on matrices only
    clip_norm          maximum gradient norm
    eval_steps         steps between evaluations on held-out data; None turns evaluation off
    checkpoint_steps   steps between checkpoints
    checkpoint_at_end  whether to save a checkpoint after the last step too
    log_steps          steps averaged in one line of metrics.jsonl
    free_memory_steps  steps between returns of freed memory to the system, each of which takes 0.03 s

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

    def __post_init__(self) -> None:
        """Raise BadConfig for a number of steps that makes no sense."""
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise BadConfig(f"{name} is {value}; expected at least {least}.")

    @classmethod
    def from_settings(cls, settings: object, **fixed: Any) -> Schedule:
        """A schedule of the fields that `settings` has under the same names, such as a section of the configuration.

        fixed  values of the other fields
        """
        names = [field.name for field in fields(cls)]
        return cls(**{name: getattr(settings, name) for name in names if hasattr(settings, name)} | fixed)


class Task(ABC, Generic[BatchT]):
    """Something to train: parameters, the batch of each step, and its losses.

    A `Trainer` calls `setup` once, then `on_step_begin`, `batch` and `losses` for each step. A batch must depend on
    nothing but seed and step: with that and `state`, a resumed training equals an uninterrupted one bit for bit.

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
    """Short name for folders and messages."""

    splits_batches: ClassVar[bool] = False
    """Whether `batch` divides the examples of a step among several processes; otherwise only one can train the task.

    The loss of a step is the mean of what the processes yield; a mean over parts of unequal size is weighted by
    `self.trainer.ranks.weight`. The values in `log` are averaged in the same way.
    """

    schedule: Schedule
    trainer: Trainer

    def setup(self, trainer: Trainer) -> None:
        """Prepare `trainer.model`, for example freeze or add parts.

        Called once, when the model is on its device and before the optimiser is created.
        """
        self.trainer = trainer

    @abstractmethod
    def parameter_groups(self, model: Any) -> Sequence[ParameterGroup]:
        """(parameters, peak learning rate) pairs; a parameter in several of them belongs to the first."""

    @abstractmethod
    def batch(self, step: int, rank: int = 0, num_ranks: int = 1) -> BatchT:
        """The batch of a step (from 0); with several processes, the part for process `rank`."""

    def batches(self, first_step: int, rank: int = 0, num_ranks: int = 1) -> Iterator[BatchT]:
        """All batches from a step onwards; override to prepare them in the background."""
        return (self.batch(step, rank, num_ranks) for step in itertools.count(first_step))

    @abstractmethod
    def losses(self, model: Any, batch: BatchT, log: Log) -> Iterator[Tensor]:
        """Yield scalar losses, each of which is back-propagated before the next is computed; gradients add up.

        Several losses (micro-batches, several objectives) thus need the memory of only one at a time.

        log  receives numbers (or scalar tensors) for metrics.jsonl; "num_tokens" is converted to tokens per second
        May raise NonFinite to skip the step.
        """

    def on_step_begin(self, step: int) -> None:
        """Called before the batch of each step."""

    def step_row(self) -> Row:
        """Additional values to log after each step."""
        return {}

    def evaluate(self, model: Any) -> Row:
        """Metrics on held-out data; called every `schedule.eval_steps` steps, at the start and at the end."""
        return {}

    def note(self, row: Row) -> str:
        """Summary of a step's values for the progress line."""
        return ", ".join(f"{name.replace('_', ' ')} {row[name]:.2f}" for name in row if name.endswith("loss"))

    def fingerprint(self) -> Any:
        """JSON values that determine the result of training; checkpoints with different ones are rejected."""
        return {}

    def state(self) -> dict[str, Any]:
        """JSON values to store in checkpoints, in addition to model, optimiser and random generators."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""

    def finish(self) -> None:
        """Called after the last step, unless training fails."""

    def close(self) -> None:
        """Release processes and files; always called, whether training succeeds or fails."""
