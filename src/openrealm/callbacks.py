"""Observers of training: TensorBoard, Weights & Biases, early stopping, and the base class for your own."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from typing_extensions import TypedDict

from openrealm.errors import BadConfig, NotInstalled
from openrealm.stored import Count, checked

if TYPE_CHECKING:
    from openrealm.train.trainer import Trainer

__all__ = ["Callback", "EarlyStopping", "TensorBoard", "WeightsAndBiases"]

Row = Mapping[str, float | int | str]


class Callback:
    """Observer of a `Trainer`; override the methods you need. Set `trainer.should_stop` to end training after a step.

    With several processes each one calls its own callbacks, but only the first one (`trainer.ranks.is_first`) evaluates
    and saves checkpoints, and only its `should_stop` counts.

    >>> import openrealm as orm
    >>> class PrintLoss(orm.callbacks.Callback):
    ...     def on_step_end(self, trainer, row):
    ...         print(trainer.step, row["loss"])
    >>> orm.registry.CALLBACKS.add("print_loss", PrintLoss) is PrintLoss
    True
    """

    changes_training: ClassVar[bool] = False
    """Whether it can affect the weights, as early stopping does; a stage is rerun if such callbacks have changed."""

    def on_train_begin(self, trainer: Trainer) -> None:
        """Called before the first step, after the checkpoint was loaded if training is resumed."""

    def on_step_begin(self, trainer: Trainer) -> None:
        """Called before each step; `trainer.step` is the number of steps done."""

    def on_step_end(self, trainer: Trainer, row: Row) -> None:
        """Called after each step with the values it logged."""

    def on_evaluate(self, trainer: Trainer, row: Row) -> None:
        """Called after each evaluation on held-out data with its results."""

    def on_checkpoint(self, trainer: Trainer, folder: Path) -> None:
        """Called after a checkpoint was saved as `folder`."""

    def on_train_end(self, trainer: Trainer) -> None:
        """Called at the end of training; not called if training fails."""

    def state(self) -> dict[str, Any]:
        """JSON values to store in checkpoints, so that a resumed training continues as if it had not stopped."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""


class TensorBoard(Callback):
    """Writes all logged numbers as TensorBoard events; needs `pip install "openrealm[tensorboard]"`.

    With several processes only the first one writes.

    >>> import openrealm as orm
    >>> callback = orm.callbacks.TensorBoard("logs/")
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        """`folder`: destination of the event files; None means `tensorboard/` in the trainer's folder."""
        self._folder = None if folder is None else Path(folder)
        self._writer: Any = None

    def on_train_begin(self, trainer: Trainer) -> None:
        """Open the event file; when training is resumed, events after the checkpoint are discarded."""
        if not trainer.ranks.is_first:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise NotInstalled(
                'The callback "tensorboard" needs TensorBoard; install it with: pip install "openrealm[tensorboard]".'
            ) from error
        folder = self._folder or trainer.folder / "tensorboard"
        make: Any = SummaryWriter
        self._writer = make(str(folder), purge_step=trainer.step + 1)

    def on_step_end(self, trainer: Trainer, row: Row) -> None:
        """Write the step's values under "train/"."""
        self._write("train", trainer.step, row)

    def on_evaluate(self, trainer: Trainer, row: Row) -> None:
        """Write the results of an evaluation under "heldout/"."""
        self._write("heldout", trainer.step, row)

    def on_train_end(self, trainer: Trainer) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()

    def _write(self, split: str, step: int, row: Row) -> None:
        if self._writer is None:
            return
        for name, value in row.items():
            if not isinstance(value, str):
                self._writer.add_scalar(f"{split}/{name}", value, step)
        self._writer.flush()


class _WeightsAndBiasesState(TypedDict):
    run: str


class WeightsAndBiases(Callback):
    """Logs all numbers to Weights & Biases; needs `pip install "openrealm[wandb]"`.

    Where it logs to, and whether it uses the network, is set by the variables of wandb, such as WANDB_MODE=offline. A
    resumed training continues the same run. With several processes only the first one logs.

    >>> import openrealm as orm
    >>> callback = orm.callbacks.WeightsAndBiases("my-project")
    """

    def __init__(self, project: str | None = None) -> None:
        """`project`: name of the project to log to; None means the one in WANDB_PROJECT, or "openrealm"."""
        self._project = project
        self._id: str | None = None
        self._run: Any = None

    def on_train_begin(self, trainer: Trainer) -> None:
        """Start a run, or continue that of the checkpoint. Raises NotInstalled without wandb."""
        if not trainer.ranks.is_first:
            return
        try:
            import wandb
        except ImportError as error:
            raise NotInstalled(
                'The callback "wandb" needs Weights & Biases; install it with: pip install "openrealm[wandb]".'
            ) from error
        schedule = {"task": trainer.task.name, "num_steps": trainer.schedule.num_steps, "seed": trainer.seed}
        trainer.folder.mkdir(parents=True, exist_ok=True)
        project = self._project or os.environ.get("WANDB_PROJECT") or "openrealm"
        folder = str(trainer.folder)
        self._run = wandb.init(project=project, id=self._id, resume="allow", dir=folder, config=schedule)
        self._id = str(self._run.id)

    def on_step_end(self, trainer: Trainer, row: Row) -> None:
        """Log the step's values under "train/"."""
        self._log("train", trainer.step, row)

    def on_evaluate(self, trainer: Trainer, row: Row) -> None:
        """Log the results of an evaluation under "heldout/"."""
        self._log("heldout", trainer.step, row)

    def on_train_end(self, trainer: Trainer) -> None:
        """Finish the run."""
        if self._run is not None:
            self._run.finish()

    def state(self) -> dict[str, Any]:
        """The id of the run, to continue it."""
        return {"run": self._id or ""}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue the run of the checkpoint."""
        known = checked(_WeightsAndBiasesState, state, "The state of WeightsAndBiases in the checkpoint")
        self._id = known["run"] or None

    def _log(self, split: str, step: int, row: Row) -> None:
        if self._run is not None:
            self._run.log({f"{split}/{name}": v for name, v in row.items() if not isinstance(v, str)}, step=step)


class _EarlyStoppingState(TypedDict):
    best: float | None
    num_bad: Count


class EarlyStopping(Callback):
    """Stops training when a metric on held-out data has not improved for `patience` evaluations.

    >>> import openrealm as orm
    >>> callback = orm.callbacks.EarlyStopping("recall@5", patience=3, mode="max")
    """

    changes_training = True

    def __init__(self, metric: str = "loss", patience: int = 3, mode: Literal["min", "max"] = "min") -> None:
        """Choose what to watch.

        metric    name of a metric that the task's evaluation returns
        patience  evaluations without improvement after which training stops
        mode      "min" if lower values are better, "max" if higher ones are
        Raises BadConfig for an invalid mode or patience.
        """
        if mode not in ("min", "max"):
            raise BadConfig(f'EarlyStopping: mode is {mode!r}; expected "min" or "max".')
        if patience < 1:
            raise BadConfig(f"EarlyStopping: patience is {patience}; expected at least 1.")
        self.metric, self.patience, self.mode = metric, patience, mode
        self.best, self.num_bad = math.inf, 0

    def on_evaluate(self, trainer: Trainer, row: Row) -> None:
        """Compare with the best result so far. Raises BadConfig if the evaluation has no such metric."""
        if self.metric not in row:
            raise BadConfig(f"EarlyStopping: there is no metric {self.metric!r}; choose from {', '.join(row)}.")
        value = float(row[self.metric]) * (1 if self.mode == "min" else -1)
        self.num_bad = 0 if value < self.best else self.num_bad + 1
        self.best = min(self.best, value)
        trainer.should_stop = trainer.should_stop or self.num_bad >= self.patience

    def state(self) -> dict[str, Any]:
        """The best result (None before the first evaluation) and the number of evaluations since then."""
        return {"best": self.best if math.isfinite(self.best) else None, "num_bad": self.num_bad}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue counting from the checkpoint."""
        known = checked(_EarlyStoppingState, state, "The state of EarlyStopping in the checkpoint")
        self.best = math.inf if known["best"] is None else known["best"]
        self.num_bad = known["num_bad"]
