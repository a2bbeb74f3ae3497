"""A training that is interrupted between two steps."""

from __future__ import annotations

import pytest

from openrealm.callbacks import Callback
from openrealm.train.trainer import Trainer


class Interrupted(Exception):
    """Stops a training as a kill would: nothing is written after it."""


class InterruptAt(Callback):
    """Raises Interrupted before the step after `step`."""

    def __init__(self, step: int) -> None:
        self.step, self.error = step, Interrupted

    def on_step_begin(self, trainer: Trainer) -> None:
        if trainer.step == self.step:
            raise self.error


@pytest.fixture(scope="session")
def interrupt_at() -> type[InterruptAt]:
    """`interrupt_at(6)`: a callback that stops training before the seventh step by raising its `error`."""
    return InterruptAt
