"""Tables in text files as a source: .tsv, as DPR and ColBERT have them, and .csv with a header.

DPR's psgs_w100.tsv begins with the line "id text title" and quotes as CSV does; ColBERT's collection.tsv has no such
line, its quotes are text, and its columns are id, text and, if there are three, title. MS MARCO's documents have
neither, and the columns id, address, title and text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from openrealm.corpus.sources import RowSource
from openrealm.corpus.sources.lines import plain_name, read_blocks, read_lines
from openrealm.corpus.sources.rows import ID_KEYS, TEXT_KEYS, NoText, RowFormat, Value
from openrealm.errors import BadInput
from openrealm.progress import counted
from openrealm.types import Limits

_NAMELESS = {2: ("id", "text"), 3: ("id", "text", "title"), 4: ("id", "url", "title", "text")}
_ADDRESS = re.compile(r"(?:https?|ftp)://")
_MIN_TEXT_CHARACTERS = 20


def _rows(path: Path, limits: Limits) -> Iterator[tuple[int, Value]]:
    layout = _layout(path, next(read_blocks(path, limits), b"").decode("utf-8-sig", "surrogateescape"))
    csv.field_size_limit(limits.max_row_mb << 20)
    lines = _Lines(path, limits)
    reader = csv.reader(lines, **layout.dialect)
    is_header = layout.has_header
    while True:
        number = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, BadInput(f"{path}:{number} is no row of a table ({error}); check its quotes.")
            continue
        if cells and is_header:
            is_header = False
        else:
            yield number, _value(cells, layout.names, f"{path}:{number}") if cells else None


FORMAT = RowFormat("line", _rows)


class Table(RowSource):
    """A .tsv or .csv file, plain or compressed."""

    kind = "table"
    form = FORMAT


class _Layout(NamedTuple):
    """How `csv.reader` reads a file, the names of its columns, and whether they are in its first line."""

    dialect: dict[str, Any]
    names: tuple[str, ...]
    has_header: bool


class _Lines:
    """Lines as `csv.reader` wants them; bytes that are not UTF-8 become surrogates. `number` lines have been read."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.number = 0
        self._lines = read_lines(path, limits)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        return line.decode("utf-8-sig" if self.number == 1 else "utf-8", "surrogateescape") + "\n"


def _layout(path: Path, start: str) -> _Layout:
    """The layout that fits the beginning of a file."""
    is_whole = len(start) < 1 << 19
    delimiters = ("\t",) if plain_name(path.name).endswith(".tsv") else (",", ";", "\t")
    for delimiter in delimiters:
        dialect = _dialect(start, delimiter, is_whole)
        rows = _sample(start, dialect, is_whole)
        names = tuple(cell.strip().casefold() for cell in rows[0]) if rows else ()
        if any(name in TEXT_KEYS for name in names):
            if len(set(names)) < len(names):
                raise BadInput(f"{path} has two columns of the same name ({', '.join(names)}); rename one.")
            return _Layout(dialect, names, has_header=True)
        if delimiter == "\t" and rows and _is_collection(rows):
            dialect = dialect if '\t"' in start else _raw(delimiter)  # a quote further on is text then
            return _Layout(dialect, _NAMELESS[len(rows[0])], has_header=False)
    line = start.partition("\n")[0][:80]
    raise NoText(
        f'{path} has no column "text" in its first line ({line!r}); expected the line "id text title" separated by '
        "tabs (.tsv) or commas (.csv), or a .tsv file whose two or three columns are id, text and title."
    )


def _dialect(start: str, delimiter: str, is_whole: bool) -> dict[str, Any]:
    """CSV's quotes if the file's beginning can be read with them; otherwise every quote is text."""
    quoted = {"delimiter": delimiter, "strict": True}
    try:
        rows = _sample(start, quoted, is_whole)
    except csv.Error:
        return _raw(delimiter)
    return quoted if len({len(row) for row in rows}) == 1 else _raw(delimiter)


def _raw(delimiter: str) -> dict[str, Any]:
    return {"delimiter": delimiter, "quoting": csv.QUOTE_NONE}


def _sample(start: str, dialect: dict[str, Any], is_whole: bool) -> list[list[str]]:
    """Rows at the beginning of a file, without blank lines and without a last one that may be cut."""
    rows: list[list[str]] = []
    try:
        rows.extend(row for row in csv.reader(io.StringIO(start, newline=""), **dialect) if row)
    except csv.Error as error:
        if is_whole or "unexpected end" not in str(error):
            raise
    return rows if is_whole else rows[:-1]


def _is_collection(rows: list[list[str]]) -> bool:
    """Whether rows without a header are ids, texts and perhaps titles, rather than numbers or questions."""
    if len(rows[0]) not in _NAMELESS:
        return False
    rows = [row for row in rows if len(row) == len(rows[0])]
    names = _NAMELESS[len(rows[0])]
    if "url" in names and not all(_ADDRESS.match(row[names.index("url")]) for row in rows):
        return False
    texts = [row[names.index("text")] for row in rows]
    is_text = [len(text) >= _MIN_TEXT_CHARACTERS or " " in text.strip() for text in texts]
    return 2 * sum(is_text) >= len(rows) and not any(" " in row[0].strip() for row in rows)


def _value(cells: list[str], names: tuple[str, ...], where: str) -> Value:
    if len(cells) != len(names):
        found = counted({"column": len(cells)})
        return BadInput(f"{where} has {found}; expected {len(names)} ({', '.join(names)}).")
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return BadInput(f"{where} is not UTF-8; save the file as UTF-8.")
    return {name: cell or None if name in ID_KEYS else cell for name, cell in zip(names, cells, strict=True)}
