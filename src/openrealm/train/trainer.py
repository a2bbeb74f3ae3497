"""The training loop of all tasks: learning rate, gradients, metrics, evaluation, checkpoints, resume, callbacks."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from openrealm import files
from openrealm.callbacks import Callback
from openrealm.config import Config
from openrealm.engine import Engine, engine_for
from openrealm.errors import BadConfig, NonFinite
from openrealm.progress import say, track, warn
from openrealm.registry import CALLBACKS
from openrealm.train import checkpoint, metrics
from openrealm.train.guard import Guard
from openrealm.train.optimizer import adam, num_warmup_steps, rate_factor, set_rate, timed_rate_factor
from openrealm.train.ranks import ALONE, Ranks
from openrealm.train.task import Log, Row, Schedule, Task

_NUM_RECENT = 20
_SEEDS_BETWEEN_RANKS = 1_000_003  # so that processes that share a batch draw different dropout masks
# Fields of the schedule that do not affect the weights and may differ when training is resumed.
_FREE = ("eval_steps", "checkpoint_steps", "checkpoint_at_end", "log_steps", "free_memory_steps")


def processor_seconds() -> float:
    """CPU time of this process, and of those that it started and that have ended, in seconds since its start.

    >>> processor_seconds() > 0
    True
    """
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@dataclass
class Outcome:
    """Results of a training.

    num_steps    steps done
    num_skipped  steps skipped because the loss or a gradient was not finite
    first, last  results of the first and the last evaluation
    recent       means of the values logged by the last 20 steps
    task         state of the task, such as the steps at which the index was refreshed
    """

    num_steps: int = 0
    num_skipped: int = 0
    first: Row = field(default_factory=dict)
    last: Row = field(default_factory=dict)
    recent: dict[str, float] = field(default_factory=dict)
    task: dict[str, Any] = field(default_factory=dict)


class Trainer:
    """Trains a model on a task.

    >>> import openrealm as orm
    >>> corpus = orm.Corpus.build("my_docs/", "corpus/")
    >>> model = orm.Realm.from_pretrained("openrealm-mini")
    >>> warm_start = orm.tasks.WarmStart(corpus, ict_batch=2, mlm_batch=2)
    >>> outcome = orm.Trainer(model, warm_start, "training/", num_steps=2).train()
    >>> outcome.num_steps
    2
    """

    def __init__(
        self,
        model: Any,
        task: Task[Any],
        folder: str | Path | None = None,
        *,
        num_steps: int | None = None,
        minutes: float | None = None,
        clock: Callable[[], float] = time.perf_counter,
        callbacks: Sequence[Callback | str] = (),
        engine: Engine | None = None,
        seed: int = 0,
        ranks: Ranks | None = None,
        **schedule: Any,
    ) -> None:
        """Move `model` to its device and let the task prepare it; nothing is written before `train`.

        model      a model that the task can train
        task       what to train it on
        folder     gets metrics.jsonl and checkpoints/; None means training/ followed by the task's name
        num_steps  optimiser steps; None means the task's number
        minutes    stop after this time instead of `num_steps`; the learning rate decays with the remaining time
        clock      measures the steps for `minutes`, in seconds; `processor_seconds` is fair where other work shares the
                   machine
        callbacks  observers, or their names in `registry.CALLBACKS`
        engine     device and precision; None chooses them to suit the hardware
        seed       random seed for dropout and other random choices of the model
        ranks      this process among several (see `all_ranks`), which share each batch; None means the only one
        schedule   other fields of `Schedule` that override the task's
        Raises BadConfig for an unknown field or callback, an invalid value, or a task that does not support several
        processes.
        """
        known = {f.name for f in dataclasses.fields(Schedule)}
        if unknown := sorted(set(schedule) - known):
            raise BadConfig(f"Trainer has no setting {unknown[0]!r}; choose from {', '.join(sorted(known))}.")
        if num_steps is not None:
            schedule["num_steps"] = num_steps
        self.schedule = dataclasses.replace(task.schedule, **schedule)
        self.ranks = ranks or ALONE
        if self.ranks.num_ranks > 1 and not task.splits_batches:
            raise BadConfig(f"The task {task.name} supports one process only; start it without torchrun.")
        self.model, self.task, self.seed, self.minutes = model, task, seed, minutes
        self._clock = clock
        self.engine = engine or engine_for(Config())
        self.folder = Path("training") / task.name if folder is None else Path(folder)
        self.callbacks = [CALLBACKS.create(c) if isinstance(c, str) else c for c in callbacks]
        self.outcome = Outcome()
        self.should_stop = False
        self.step, self.seconds, self.num_tokens = 0, 0.0, 0
        self._num_metrics = 0
        self._evaluated_step: int | None = None
        self._unlogged: list[Row] = []
        self._recent: deque[Row] = deque(maxlen=_NUM_RECENT)
        model.to(self.engine.device)
        task.setup(self)
        self.optimizer = adam(task.parameter_groups(model), self.schedule.weight_decay)
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.guard = Guard(trained, self.schedule.clip_norm, free_memory_steps=self.schedule.free_memory_steps)

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.folder / "checkpoints"

    def train(self, resume: bool = False) -> Outcome:
        """Train to the end; returns the results.

        resume  continue from the last checkpoint in the folder, if there is one; the result is the same, bit for bit,
                as without the interruption, unless it depends on time: with `minutes`, or if a refresh of the index
                was running that training did not wait for. Learning rates may be changed. Without `resume`, metrics
                and checkpoints of an earlier training are deleted
        Raises Mismatch if the checkpoint was written with other settings or by another number of processes, NonFinite
        if three steps in a row are not finite.
        """
        torch.manual_seed(self.seed + _SEEDS_BETWEEN_RANKS * self.ranks.rank)
        found = checkpoint.checkpoints(self.checkpoints) if resume else []
        last = self.ranks.text_from_first(found[-1].name if found else "")
        self.ranks.share([*self.model.state_dict().values(), *self.guard.parameters])
        try:
            if last:
                self._load(self.checkpoints / last)
            elif self.ranks.is_first:
                metrics.start_over(self.folder)
                checkpoint.remove_all(self.checkpoints)
            self._notify("on_train_begin")
            if self.step == 0:
                self._evaluate()
            self._run()
            self.task.finish()
        finally:
            self.task.close()
        self._notify("on_train_end")
        self.model.eval()
        return self.outcome

    def log(self, split: str, row: Row) -> None:
        """Append a line to metrics.jsonl; only the first process writes.

        split  kind of line, such as "train" or "heldout"
        """
        if self.ranks.is_first:
            metrics.append(self.folder, self.step, {"split": split, **row})
            self._num_metrics += 1

    def share_done(self) -> float:
        """Fraction of the training that is done, 0 to 1, by steps or by time."""
        if self.minutes is None:
            return self.step / self.schedule.num_steps if self.step < self.schedule.num_steps else 1.0
        return self.ranks.from_first(self.seconds / (60 * self.minutes))

    def _is_stopped(self) -> bool:
        """Whether a callback requested a stop; the first process decides, so that all end at the same step."""
        return bool(self.ranks.from_first(float(self.should_stop)))

    def _run(self) -> None:
        schedule = self.schedule
        batches = self.task.batches(self.step, self.ranks.rank, self.ranks.num_ranks)
        total = schedule.num_steps if self.minutes is None else round(60 * self.minutes)
        done = 0
        unit = "" if self.minutes is None else " (seconds)"
        with track(self.task.name.replace("_", " ") + unit, total) as advance:
            while (share := self.share_done()) < 1 and not self._is_stopped():
                note = self._one_step(batches, share)
                now = min(total, self.step if self.minutes is None else int(self.seconds))
                advance(now - done, note)
                done = now
                if schedule.eval_steps and self.step % schedule.eval_steps == 0:
                    self._evaluate()
                if self.step % schedule.checkpoint_steps == 0:
                    self._save()
        self._flush()
        self._evaluate()
        if schedule.checkpoint_at_end:
            self._save()
        outcome = self.outcome
        outcome.num_steps, outcome.num_skipped = self.step, self.guard.num_skipped
        outcome.recent = _means([metrics.finite(row) for row in self._recent])
        outcome.task = self.task.state()

    def _one_step(self, batches: Iterator[Any], share: float) -> str:
        """Do one step, or skip it if a loss or gradient is not finite; returns the note for the progress line."""
        started, spent = time.perf_counter(), self._clock()
        self._notify("on_step_begin")
        self.task.on_step_begin(self.step)
        batch = next(batches)
        self.model.train()
        set_rate(self.optimizer, self._rate_factor(share))
        log: Log = {}
        total = 0.0
        try:
            for loss in self.task.losses(self.model, batch, log):
                if loss.requires_grad:
                    loss.backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
        except NonFinite:
            total, log = math.nan, {}
        total = self.ranks.average(self.guard.parameters, total)
        self.guard.step(self.optimizer, total, self.step)
        self.step += 1
        logged = {name: float(v.detach()) if isinstance(v, Tensor) else v for name, v in log.items()}
        row: Row = {**self.ranks.average_row(logged)} if self.ranks.num_ranks > 1 else logged
        num_tokens = round(float(row.pop("num_tokens", 0)) * self.ranks.num_ranks)
        self.num_tokens += num_tokens
        row |= self.task.step_row() | {"num_skipped": self.guard.num_skipped}
        seconds = time.perf_counter() - started
        self.seconds += self._clock() - spent
        row["seconds"] = seconds
        if num_tokens:
            row["tokens_per_second"] = num_tokens / seconds
        self._recent.append(row)
        self._unlogged.append(row)
        if self.step % self.schedule.log_steps == 0:
            self._flush()
        self._notify("on_step_end", row)
        return self.task.note(row)

    def _rate_factor(self, share: float) -> float:
        if self.minutes is None:
            return rate_factor(self.step, self.schedule.num_steps, self.schedule.warmup_steps)
        warmup = num_warmup_steps(self.schedule.num_steps, self.schedule.warmup_steps)
        return timed_rate_factor(self.step, share, warmup)

    def _flush(self) -> None:
        """Log the mean of the rows since the last call."""
        if self._unlogged:
            self.log("train", self._unlogged[0] if len(self._unlogged) == 1 else dict(_means(self._unlogged)))
        self._unlogged = []

    def _evaluate(self) -> None:
        """Evaluate, unless that is off or was already done at this step."""
        if self.schedule.eval_steps is None or self._evaluated_step == self.step:
            return
        self._evaluated_step = self.step
        if self.ranks.is_first:
            row = self.task.evaluate(self.model)
            if row:
                self.outcome.last = metrics.plain(row)
                self.outcome.first = self.outcome.first or self.outcome.last
                self.log("heldout", row)
                self._notify("on_evaluate", row)
        self.ranks.wait()

    def _notify(self, event: str, *arguments: Any) -> None:
        for callback in self.callbacks if self.ranks.is_first else ():
            getattr(callback, event)(self, *arguments)

    def _fingerprint(self) -> str:
        schedule = dataclasses.asdict(self.schedule)
        for free in _FREE:
            del schedule[free]
        task = _without_rates(self.task.fingerprint())
        return files.digest_of([self.task.name, task, schedule, self.seed, self.engine.bf16, self.minutes is None])

    def _peak_rates(self) -> list[float]:
        return [float(group["peak"]) for group in self.optimizer.param_groups]

    def _save(self) -> None:
        random_states = checkpoint.generators(self.ranks)
        if not self.ranks.is_first:
            return
        state: checkpoint.State = {
            "step": self.step,
            "num_ranks": self.ranks.num_ranks,
            "fingerprint": self._fingerprint(),
            "seconds": self.seconds,
            "num_tokens": self.num_tokens,
            "num_metrics": self._num_metrics,
            "metrics_sha256": metrics.digest(self.folder),
            "evaluated_step": self._evaluated_step,
            "should_stop": self.should_stop,
            "peak_rates": self._peak_rates(),
            "unlogged": [metrics.finite(row) for row in self._unlogged],
            "recent": [metrics.finite(row) for row in self._recent],
            "num_skipped": self.guard.num_skipped,
            "num_skipped_in_a_row": self.guard.num_in_a_row,
            "first": self.outcome.first,
            "last": self.outcome.last,
            "task": self.task.state(),
            "callbacks": {_key(n, callback): callback.state() for n, callback in enumerate(self.callbacks)},
        }
        path = checkpoint.save(self.checkpoints, self.model, self.optimizer, state, random_states)
        self._notify("on_checkpoint", path)

    def _load(self, path: Path) -> None:
        state = checkpoint.load(path, self.model, self.optimizer, self._fingerprint(), self.ranks)
        self.step, self.seconds, self.num_tokens = state["step"], state["seconds"], state["num_tokens"]
        self.task.load_state(state["task"])
        for n, callback in enumerate(self.callbacks):
            if _key(n, callback) in state["callbacks"]:
                callback.load_state(state["callbacks"][_key(n, callback)])
        self._evaluated_step, self.should_stop = state["evaluated_step"], state["should_stop"]
        self._num_metrics = state["num_metrics"]
        if self.ranks.is_first:
            metrics.keep(self.folder, self._num_metrics, state["metrics_sha256"])
        self._unlogged = state["unlogged"]
        self._recent.extend(state["recent"])
        self.guard.num_skipped, self.guard.num_in_a_row = state["num_skipped"], state["num_skipped_in_a_row"]
        self.outcome.first, self.outcome.last = state["first"], state["last"]
        say(f"Resumed from {path} at step {self.step}.")
        if state["peak_rates"] != self._peak_rates():
            rate = max(self._peak_rates(), default=0.0)
            warn(f"The steps before it were trained with another learning rate; from here on it is at most {rate:g}.")
            self.log("resumed", {"learning_rate": rate})


def _without_rates(value: Any) -> Any:
    """JSON values without learning rates: those may be changed on resume, which is how to go on after a divergence."""
    if isinstance(value, dict):
        return {key: _without_rates(v) for key, v in value.items() if not key.endswith("learning_rate")}
    return [_without_rates(v) for v in value] if isinstance(value, list | tuple) else value


def _key(number: int, callback: Callback) -> str:
    return f"{number}:{type(callback).__qualname__}"


def _means(rows: Sequence[Row]) -> dict[str, float]:
    """Mean of each number over the rows that contain it."""
    names = dict.fromkeys(name for row in rows for name, value in row.items() if not isinstance(value, str))
    found = {name: [float(row[name]) for row in rows if name in row] for name in names}
    return {name: sum(values) / len(values) for name, values in found.items()}
