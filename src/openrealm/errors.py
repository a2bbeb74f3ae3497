"""Every error meant for users: one sentence that names the cause, what was expected and what to do."""

from __future__ import annotations


class OpenRealmError(Exception):
    """Base of all errors meant for the user; the command line prints the message and exits with code 2.

    >>> import openrealm as orm
    >>> try:
    ...     orm.Corpus.open("nowhere/")
    ... except orm.OpenRealmError as error:
    ...     print(type(error).__name__)
    MissingStage
    """


class BadInput(OpenRealmError):
    """A file, line or value from the user is invalid."""


class SeveralBadInputs(BadInput):
    """Several inputs cannot be used: a sentence, and below it a line for each of them."""


class TooLittleText(BadInput):
    """A text has too little to mask for pre-training."""


class BadConfig(OpenRealmError):
    """A configuration key or value is unknown or out of range."""


class MissingStage(OpenRealmError):
    """A stage's input is missing because an earlier stage has not been run."""


class DamagedArtefact(OpenRealmError):
    """A stored file is missing or does not match its digest in the manifest."""


class Mismatch(OpenRealmError):
    """An artefact was made with a different encoder, tokenizer or corpus; the message shows both digests."""


class Busy(OpenRealmError):
    """Another process is writing to the folder; the message gives its process id."""


class NoSpace(OpenRealmError):
    """The disk is full; no partial files are left, and the message gives the space needed where it is known."""


class WorkerDied(OpenRealmError):
    """Worker processes died repeatedly on the same piece of work; work finished by others is kept."""


class ProcessGone(OpenRealmError):
    """Another process of a training by several has ended or takes no part any more."""


class NotInstalled(OpenRealmError):
    """An optional package is required; the message names the extra that installs it."""


class ShapeMismatch(OpenRealmError, ValueError):
    """Tensors passed to a function disagree in a named axis."""


class NonFinite(OpenRealmError, ArithmeticError):
    """A NaN or infinity where a finite number is required; the message names the first bad item."""
