"""Every error a user can meet: one sentence that names the thing, what was expected and what to do."""

from __future__ import annotations


class OpenRealmError(Exception):
    """Base of all errors with a message meant for the user; the command prints it and exits with code 2."""


class BadInput(OpenRealmError):
    """A file, line or value given by the user is not what was expected."""


class BadConfig(OpenRealmError):
    """A configuration key or value is unknown or out of range."""


class MissingStage(OpenRealmError):
    """A stage was asked for before the stage whose output it reads."""


class DamagedArtefact(OpenRealmError):
    """A stored file is missing or its digest differs from its manifest."""


class Mismatch(OpenRealmError):
    """An artefact was made with another encoder, tokenizer or corpus; both digests are shown."""


class Busy(OpenRealmError):
    """Another process holds the folder for writing; its process id is named."""


class NoSpace(OpenRealmError):
    """The disk is full; the bytes needed are named and nothing half-written is left."""


class WorkerDied(OpenRealmError):
    """Worker processes ended on the same piece of work again and again; what others had finished is kept."""


class NotInstalled(OpenRealmError):
    """An optional package is needed; the message names the extra that brings it."""


class ShapeMismatch(OpenRealmError, ValueError):
    """Tensors handed to a function disagree in a named axis."""


class NonFinite(OpenRealmError, ArithmeticError):
    """A NaN or an infinity where a finite number is needed; the first bad item is named."""
