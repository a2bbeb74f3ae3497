"""Progress of long tasks: a progress bar with an estimate on a terminal, otherwise a plain line every few seconds."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping

from openrealm import interrupt

Advance = Callable[..., None]

_PLAIN_SECONDS = 15.0
_COUNTABLE = re.compile(r"\b(file|folder|link|list|range|redirect|row|line|item|page|environment)\b")


def say(message: str) -> None:
    """Print one line to standard error, where errors and logs go too."""
    print(message, file=sys.stderr, flush=True)


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

    `advance` raises KeyboardInterrupt if Python dropped that of an earlier Ctrl-C.
    """
    with _bar(what, total) if sys.stderr.isatty() else contextlib.nullcontext(_plain(what, total)) as show:

        def advance(amount: int = 1, note: str = "") -> None:
            interrupt.check()
            show(amount, note)

        yield advance


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
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total, note="")

        def advance(amount: int = 1, note: str = "") -> None:
            progress.update(task, advance=amount)
            if note:
                progress.update(task, note=note)

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
