"""The tasks a `Trainer` can train, and the base class for custom ones."""

from __future__ import annotations

from openrealm.base.settings import BaseSettings
from openrealm.base.task import BaseEncoding
from openrealm.train.task import Schedule, Task
from openrealm.train.tasks.closed_book import ClosedBook
from openrealm.train.tasks.joint import Joint
from openrealm.train.tasks.openqa import OpenQA
from openrealm.train.tasks.tagger import Tagger, TaggerSettings
from openrealm.train.tasks.warm_start import WarmStart

__all__ = [
    "BaseEncoding",
    "BaseSettings",
    "ClosedBook",
    "Joint",
    "OpenQA",
    "Schedule",
    "Tagger",
    "TaggerSettings",
    "Task",
    "WarmStart",
]
