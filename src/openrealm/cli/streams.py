"""The standard streams as a command finds them: closed, a pipe whose reader has gone, or without Unicode."""

from __future__ import annotations

import io
import os
import sys


def prepare() -> bool:
    """Make all three streams usable; returns whether standard output was closed.

    A closed one is replaced by the null device: the next file that is opened would otherwise take its number, and get
    whatever a library or another process prints. Characters that a stream cannot encode are shown as escapes.
    """
    was_closed = sys.stdout is None
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return was_closed


def flush() -> None:
    """Write out what is buffered. Raises OSError if that fails; nothing is left for the end of the process then."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
