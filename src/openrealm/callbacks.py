"""Observers of training: TensorBoard, early stopping, and the base class for your own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from openrealm.errors import BadConfig, NotInstalled

if TYPE_CHECKING:
    from openrealm.train.trainer import Trainer

__all__ = ["Callback", "EarlyStopping", "TensorBoard"]

Row = Mapping[str, float | int | str]


class Callback:
    """What a `Trainer` calls; override what you need. Setting `trainer.should_stop` ends training after the step.

    Every process of a training by several has its callbacks; evaluations and checkpoints are the first one's alone, and
    its `should_stop` counts.

    >>> import openrealm as orm
    >>> class PrintLoss(orm.callbacks.Callback):
    ...     def on_step_end(self, trainer, row):
    ...         print(trainer.step, row["loss"])
    >>> orm.registry.CALLBACKS.add("print_loss", PrintLoss) is PrintLoss
    True
    """

    changes_training: ClassVar[bool] = False
    """Whether weights may depend on it, as on early stopping: then a stage with another such callback is rerun."""

    def on_train_begin(self, trainer: Trainer) -> None:
        """Before the first step, or after a checkpoint was loaded."""

    def on_step_begin(self, trainer: Trainer) -> None:
        """Before each step; `trainer.step` counts the steps already done."""

    def on_step_end(self, trainer: Trainer, row: Row) -> None:
        """After each step, with what it logged."""

    def on_evaluate(self, trainer: Trainer, row: Row) -> None:
        """After each evaluation on held-out data, with its results."""

    def on_checkpoint(self, trainer: Trainer, folder: Path) -> None:
        """After a checkpoint was published as `folder`."""

    def on_train_end(self, trainer: Trainer) -> None:
        """After the last step; not called if training fails."""

    def state(self) -> dict[str, Any]:
        """JSON values to keep in a checkpoint, so that a resumed run goes on as if it had not stopped."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""


class TensorBoard(Callback):
    """Write every logged number as TensorBoard events; needs `pip install "openrealm[tensorboard]"`.

    >>> import openrealm as orm
    >>> callback = orm.callbacks.TensorBoard("logs/")
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        """`folder`: where event files go; None is `tensorboard/` in the trainer's folder."""
        self._folder = None if folder is None else Path(folder)
        self._writer: Any = None

    def on_train_begin(self, trainer: Trainer) -> None:
        """Open the event file; steps after the checkpoint of a resumed run replace what was written before."""
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
        """Write what the step logged below "train/"."""
        self._write("train", trainer.step, row)

    def on_evaluate(self, trainer: Trainer, row: Row) -> None:
        """Write the results of an evaluation below "heldout/"."""
        self._write("heldout", trainer.step, row)

    def on_train_end(self, trainer: Trainer) -> None:
        """Close the event file."""
        self._writer.close()

    def _write(self, split: str, step: int, row: Row) -> None:
        for name, value in row.items():
            if not isinstance(value, str):
                self._writer.add_scalar(f"{split}/{name}", value, step)
        self._writer.flush()


class EarlyStopping(Callback):
    """Stop when a measure on held-out data has not improved for `patience` evaluations.

    >>> import openrealm as orm
    >>> callback = orm.callbacks.EarlyStopping("recall@5", patience=3, mode="max")
    """

    changes_training = True

    def __init__(self, metric: str = "loss", patience: int = 3, mode: Literal["min", "max"] = "min") -> None:
        """`metric` is a name in what the task's evaluation returns; `mode` says whether it should fall or rise."""
        if mode not in ("min", "max"):
            raise BadConfig(f'EarlyStopping: mode is {mode!r}; "min" or "max" is expected.')
        if patience < 1:
            raise BadConfig(f"EarlyStopping: patience is {patience}; at least 1 is expected.")
        self.metric, self.patience, self.mode = metric, patience, mode
        self.best, self.num_bad = math.inf, 0

    def on_evaluate(self, trainer: Trainer, row: Row) -> None:
        """Compare with the best result so far. Raises BadConfig if the evaluation has no such measure."""
        if self.metric not in row:
            raise BadConfig(f"EarlyStopping: there is no measure {self.metric!r}; choose from {', '.join(row)}.")
        value = float(row[self.metric]) * (1 if self.mode == "min" else -1)
        self.num_bad = 0 if value < self.best else self.num_bad + 1
        self.best = min(self.best, value)
        trainer.should_stop = trainer.should_stop or self.num_bad >= self.patience

    def state(self) -> dict[str, Any]:
        """The best result (None before the first evaluation) and how many evaluations it has stood."""
        return {"best": self.best if math.isfinite(self.best) else None, "num_bad": self.num_bad}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on counting where the checkpoint was."""
        self.best = math.inf if state["best"] is None else state["best"]
        self.num_bad = state["num_bad"]
