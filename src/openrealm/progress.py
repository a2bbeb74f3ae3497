"""Progress of long tasks: a progress bar with an estimate on a terminal, otherwise a plain line every few seconds."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping

from openrealm import interrupt, launch

Advance = Callable[..., None]

LOGGER = logging.getLogger("openrealm")
"""Decides what `say`, `warn` and `track` print: `openrealm --log-level` and `LOGGER.setLevel` set its level."""
if LOGGER.level == logging.NOTSET:
    LOGGER.setLevel(logging.INFO)

_PLAIN_SECONDS = 15.0
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_COUNTABLE = re.compile(
    r"\b(file|folder|link|list|range|redirect|row|line|item|page|column|output|chapter|environment|passage|vector|question)\b"
)


def visible(text: str) -> str:
    """`text` with what a terminal would act on, or would not show, as escapes: control, bidirectional and invisible
    characters, and lone surrogates. Joiners, which are part of the spelling in some scripts, are kept.

    >>> print(visible("\\x1b[31ma\\u202eb.txt"))
    \\x1b[31ma\\u202eb.txt
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def say(message: str) -> None:
    """Print one line to standard error, where errors and logs go too. Unsafe characters are shown as escapes.

    Of several processes that train together, only the first one prints. Nothing is printed if the level of `LOGGER` is
    above INFO.
    """
    if launch.is_first():
        _log(message, logging.INFO)


def warn(message: str) -> None:
    """`say` what the user should know even if progress is not shown."""
    if launch.is_first():
        _log(message, logging.WARNING)


def fail(message: str) -> None:
    """`say` in any process, at any level, why it ends."""
    _log(message, logging.ERROR)


def _log(message: str, level: int) -> None:
    if sys.stderr is not None and LOGGER.isEnabledFor(level):  # None: closed, and not under the command line
        with _allowing_hangup():
            print(visible(message), file=sys.stderr, flush=True)


def show(text: str = "", *, end: str = "\n") -> None:
    """Print lines of a result to standard output. Unsafe characters are shown as escapes."""
    if not launch.is_first():
        return
    with _allowing_hangup():
        print("\n".join(map(visible, text.split("\n"))), end=end)


@contextlib.contextmanager
def _allowing_hangup() -> Iterator[None]:
    """Nothing is printed where the terminal has gone; what was under way is still ended in order."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise


def clock(seconds: float) -> str:
    """`75` -> "1:15"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def counted(counts: Mapping[str, int]) -> str:
    """Numbers of things in words.

    >>> counted({"redirect": 1, "hidden file": 2})
    '1 redirect, 2 hidden files'
    """
    words = {thing: _COUNTABLE.sub(lambda noun: f"{noun[0]}s", thing, count=1) for thing in counts}
    return ", ".join(f"{number:,} {thing if number == 1 else words[thing]}" for thing, number in counts.items())


@contextlib.contextmanager
def track(what: str, total: int | None) -> Iterator[Advance]:
    """Yield `advance(amount=1, note="")`; `total` is in the same unit as `amount`, or None if unknown.

    `advance` raises KeyboardInterrupt if Python dropped that of an earlier Ctrl-C. Nothing is shown if the level of
    `LOGGER` is above INFO.
    """
    is_bar = _is_terminal() and launch.is_first() and LOGGER.isEnabledFor(logging.INFO)
    with _bar(what, total) if is_bar else contextlib.nullcontext(_plain(what, total)) as progress:

        def advance(amount: int = 1, note: str = "") -> None:
            interrupt.check()
            progress(amount, note)

        yield advance


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextlib.contextmanager
def _bar(what: str, total: int | None) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(visible(what), total=total, note="")

        def advance(amount: int = 1, note: str = "") -> None:
            progress.update(task, advance=amount)
            if note:
                progress.update(task, note=visible(note))

        yield advance


def _plain(what: str, total: int | None) -> Advance:
    started = time.monotonic()
    done, last_printed = 0, started

    def advance(amount: int = 1, note: str = "") -> None:
        nonlocal done, last_printed
        done += amount
        now = time.monotonic()
        if now - last_printed < _PLAIN_SECONDS and (total is None or done < total):
            return
        last_printed = now
        elapsed, tail = clock(now - started), f"; {note}" if note else ""
        if total is None:
            say(f"{what}: {done:,}, {elapsed} elapsed{tail}")
            return
        left = (now - started) / max(done, 1) * (total - done)
        say(f"{what}: {done:,}/{total:,}, {elapsed} elapsed, about {clock(left)} left{tail}")

    return advance
