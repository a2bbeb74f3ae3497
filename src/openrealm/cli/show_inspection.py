"""The output of `openrealm corpus inspect`: in colour on a terminal, elsewhere as wide as COLUMNS says, or 80."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from openrealm.cli.show import one_line, plain
from openrealm.corpus.inspect import range_name
from openrealm.corpus.sources.account import MAX_EXAMPLES

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_WIDTH, _MAX_WIDTH = 80, 100
_MIN_WIDTH_FOR_TWO = 64
_BAR_CELLS = 16
_STYLES = {"entity": "bold cyan", "date": "bold yellow", "number": "bold magenta"}


def show_inspection(found: Mapping[str, Any]) -> None:
    """Print what `run.inspection.inspection` returned."""
    from rich.console import Console

    is_known = sys.stdout.isatty() or "COLUMNS" in os.environ
    width = min(_MAX_WIDTH, Console().width) if is_known else _WIDTH
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    _show_counts(console, found)
    _show_lengths(console, found["lengths"])
    _show_frequent(console, found)
    _show_skipped(console, found)
    for remark in found["remarks"]:
        console.print(one_line(f"remark: {remark}"))
    _show_passages(console, found["passages"])
    _show_examples(console, found)
    if found["leaks"] is not None:
        _show_leaks(console, found)


def _heading(console: Console, text: str) -> None:
    from rich.text import Text

    console.print(Text(f"\n{text}", style="bold underline"))


def _described(key: str, value: Any) -> str:
    """A part of a source's description: "name a.jsonl", "keys id=_id text=text", "num_rows 12"."""
    if isinstance(value, Mapping):
        value = " ".join(f"{name}={inner}" for name, inner in value.items())
    return f"{key.replace('_', ' ')} {value:,}" if isinstance(value, int) else f"{key.replace('_', ' ')} {value}"


def _columns(console: Console, rows: list[tuple[RenderableType, ...]], numbers: tuple[int, ...]) -> None:
    """Print rows as a table with the columns in `numbers` right-aligned."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for column in range(len(rows[0])):
        table.add_column(justify="right" if column in numbers else "left", no_wrap=column in numbers)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _show_counts(console: Console, found: Mapping[str, Any]) -> None:
    source = ", ".join(
        _described(key, value) for key, value in found["source"].items() if isinstance(value, str | int | Mapping)
    )
    settings = ", ".join(f"{key} {value}" for key, value in found["settings"].items())
    console.print(f"Corpus {one_line(found['folder'])}")
    console.print(f"source: {one_line(source)}")
    console.print(f"settings: {one_line(settings)}")
    console.print(f"digest: {found['digest'][:16]}")
    _heading(console, "Counts")
    _columns(console, [(name.replace("_", " "), f"{n:,}") for name, n in found["counts"].items()], (1,))


def _show_lengths(console: Console, lengths: Mapping[str, Any]) -> None:
    from rich.table import Table

    _heading(console, "Lengths: mean, median, and the range of 90% of the values")
    grid = Table.grid(padding=(0, 2))
    pictures = [_bars(name, histogram) for name, histogram in lengths.items()]
    num_beside = 2 if console.width >= _MIN_WIDTH_FOR_TWO else 1
    for i in range(0, len(pictures), num_beside):
        grid.add_row(*pictures[i : i + num_beside])
    console.print(grid)


def _bars(name: str, histogram: Mapping[str, Any]) -> Text:
    from rich.text import Text

    bins = histogram["bins"]
    labels = [range_name(b["start"], b["end"]) for b in bins]
    label_width, count_width = max(map(len, labels)), max(len(f"{b['count']:,}") for b in bins)
    most = max(b["count"] for b in bins)
    low, high = f"{histogram['low']:,}", f"{histogram['high']:,}"
    text = Text(f"{name}\n", style="bold")
    text.append(f"mean {histogram['mean']:.1f}, median {histogram['median']:,}, {low} to {high}\n", style="not bold")
    for b, label in zip(bins, labels, strict=True):
        cells = max(round(_BAR_CELLS * b["count"] / most), int(b["count"] > 0))
        text.append(f"{label:>{label_width}} {b['count']:>{count_width},} ", style="not bold")
        text.append("█" * cells + "\n", style="not bold blue")
    return text


def _show_frequent(console: Console, found: Mapping[str, Any]) -> None:
    from itertools import zip_longest

    entities, dates = found["frequent"]["entity"], found["frequent"]["date"]
    num_passages, num_seen = found["counts"]["passages"], found["spans_counted_in"]
    where = "all passages" if num_seen == num_passages else f"a sample of {num_seen:,} of {num_passages:,} passages"
    _heading(console, f"Most frequent entities and dates (in {where})")
    rows: list[tuple[RenderableType, ...]] = [
        (*_cells(entity), *_cells(date)) for entity, date in zip_longest(entities, dates)
    ]
    if rows:
        _columns(console, rows, (0, 2))
    else:
        console.print("none: the tagger found no names or dates")


def _cells(span: Mapping[str, Any] | None) -> tuple[str, str]:
    return (f"{span['count']:,}", _cut(one_line(span["text"]), 26)) if span else ("", "")


def _cut(text: str, num_characters: int) -> str:
    return text if len(text) <= num_characters else text[: num_characters - 1] + "…"


def _show_skipped(console: Console, found: Mapping[str, Any]) -> None:
    _heading(console, "Skipped")
    if not found["skipped"]:
        console.print("nothing")
        return
    _columns(console, [(one_line(why), f"{count:,}") for why, count in found["skipped"].items()], (1,))
    for why, names in found["skipped_examples"].items():
        console.print(f"\n{one_line(why)}:")
        for name in names:
            console.print(f"  {one_line(name)}")
        more = found["skipped"].get(why, 0) - len(names)
        if more > 0 and len(names) == MAX_EXAMPLES:
            console.print(f"  and {more:,} more")
    for page in found["quarantined"][:10]:
        console.print(one_line(f"quarantined: {page.get('title') or page.get('id')}: {page.get('why')}"))


def _show_passages(console: Console, passages: list[dict[str, Any]]) -> None:
    from rich.text import Text

    _heading(console, f"{len(passages)} random passages")
    for passage in passages:
        title = one_line(passage["title"]) or "(no title)"
        place = f"{one_line(passage['place'])}; " if passage["place"] else ""
        about = f"({place}passage {passage['passage']:,}, {passage['tokens']} tokens)"
        console.print(Text(f"\n{title}", style="bold"), Text(about))
        console.print(_marked(passage))
        spans = [f"{one_line(passage['text'][s['start'] : s['end']])} ({s['kind']})" for s in passage["spans"]]
        console.print(Text("spans: " + (", ".join(spans) or "none"), style="dim"))


def _marked(passage: Mapping[str, Any]) -> Text:
    """The passage's text with its spans in colour."""
    from rich.text import Text

    text, end = Text(), 0
    for span in passage["spans"]:
        text.append(plain(passage["text"][end : span["start"]]))
        text.append(plain(passage["text"][span["start"] : span["end"]]), style=_STYLES[span["kind"]])
        end = span["end"]
    return text.append(plain(passage["text"][end:]))


def _show_examples(console: Console, found: Mapping[str, Any]) -> None:
    from rich.text import Text

    _heading(console, f"{len(found['examples'])} masked examples (of {found['passages_tried']:,} passages tried)")
    for example in found["examples"]:
        title = one_line(example["title"]) or "(no title)"
        console.print(Text(f"\n{title}", style="bold"), Text(f"(passage {example['passage']:,})"))
        console.print(Text(one_line(example["query"])))
        answer = Text(one_line(example["answer"]), style=_STYLES.get(example["kind"], "bold"))
        console.print(Text.assemble("answer: ", answer, f" ({example['kind']})"))


def _show_leaks(console: Console, found: Mapping[str, Any]) -> None:
    leaks, is_own = found["leaks"], found["queries"] == found["folder"]
    _heading(console, f"Leaks: share of {leaks['num_queries']:,} masked queries whose own sentence can be retrieved")
    rows = [
        ("excluding the query's own passage" if is_own else "excluding no passage", "ids"),
        ("excluding passages with identical text", "equal"),
        ("excluding near-duplicates too, as in training", "grouped"),
    ]
    _columns(console, [(name, f"{100 * leaks[key]:.1f}%") for name, key in rows], (1,))
