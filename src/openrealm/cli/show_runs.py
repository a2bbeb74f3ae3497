"""The output of `openrealm runs`."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from openrealm.cli.show import one_line, percent, table
from openrealm.evaluate.compare import MIN_MEASURED
from openrealm.progress import clock, say, show

if TYPE_CHECKING:
    from openrealm.run.listing import Comparison, Entry, Figures

_MEASURES = ("recall@1", "recall@5", "em", "f1")
_HEAD = ("run", "state", "answers", "exact match", "recall@5", "size", "last changed")
_HEAD_OF_FIGURES = ("run", "held-out", "answers", "recall@1", "recall@5", "exact match", "F1")


def show_entries(found: Sequence[Entry], folder: Path) -> None:
    """Print one line for each run; `folder` is where they are."""
    if not found:
        say(f"There are no runs in {folder.absolute()}; start one with `openrealm run FOLDER`.")
        return
    table(_HEAD, [_row(entry) for entry in found], "")


def show_comparison(found: Comparison) -> None:
    """Print how well runs answer, and the settings in which they differ."""
    rows = [_measured(entry["name"], figures) for entry in found["runs"] for figures in entry["figures"]]
    if rows:
        table(_HEAD_OF_FIGURES, rows, "What the runs answer with")
        show("")
    names = [entry["name"] for entry in found["runs"]]
    rows = [("time", *(clock(entry["seconds"]) for entry in found["runs"]))]
    rows += [("size", *(size(entry["num_bytes"]) for entry in found["runs"]))]
    rows += [(key, *map(one_line, values)) for key, values in found["settings"].items()]
    table(("setting", *names), rows, "Where the runs differ")


def in_words(entry: Entry) -> str:
    """A run as a question names it: what it is, where it is, its state and its size."""
    what = "the run" if entry["kind"] == "run" else "the corpus and index of"
    return f"{what} {entry['folder']} ({entry['state']}, {size(entry['num_bytes'])})"


def size(num_bytes: int) -> str:
    """A number of bytes in megabytes or gigabytes.

    >>> size(2_000_000), size(3_500_000_000)
    ('2 MB', '3.5 GB')
    """
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


def _row(entry: Entry) -> tuple[str, ...]:
    asked = [figures for figures in entry["figures"] if figures["questions"] >= MIN_MEASURED]
    last = asked[-1] if asked else None
    em, recall = (last["measures"][name] if last else None for name in ("em", "recall@5"))
    changed = datetime.datetime.fromisoformat(entry["changed"])
    answers = entry["figures"][-1]["system"] if entry["figures"] else "–"
    return (
        one_line(entry["name"]),
        one_line(entry["state"]),
        answers,
        percent(em),
        percent(recall),
        size(entry["num_bytes"]),
        f"{changed:%Y-%m-%d %H:%M}",
    )


def _measured(name: str, figures: Figures) -> tuple[str, ...]:
    is_measured = figures["questions"] >= MIN_MEASURED
    shown = {measure: percent(figures["measures"][measure] if is_measured else None) for measure in _MEASURES}
    held_out = f"{figures['questions']} {figures['kind']}"
    return (name, held_out, figures["system"], shown["recall@1"], shown["recall@5"], shown["em"], shown["f1"])
