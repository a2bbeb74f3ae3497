"""JSON lines as a source, plain or compressed: {"id": ..., "title": ..., "text": ...} per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from openrealm.corpus.sources import RowSource
from openrealm.corpus.sources.lines import read_lines
from openrealm.corpus.sources.rows import EXPECTED, RowFormat, Value, row_articles, type_of
from openrealm.errors import BadInput
from openrealm.types import DEFAULT_LIMITS, Article, Limits

_MAX_DIGITS = 4000  # Python converts no more


def _rows(path: Path, limits: Limits) -> Iterator[tuple[int, Value]]:
    for number, line in enumerate(read_lines(path, limits), start=1):
        yield number, parsed(line, f"{path}:{number}") if line.strip() else None


FORMAT = RowFormat("line", _rows)


class JsonLines(RowSource):
    """A .jsonl file, plain or compressed."""

    kind = "jsonl"
    form = FORMAT


def read(path: Path, limits: Limits = DEFAULT_LIMITS) -> Iterator[Article]:
    """Articles of a file of JSON lines, which may be compressed, in order. See `rows.Rows`."""
    return row_articles(path, FORMAT, limits=limits)


def parsed(line: bytes, where: str) -> Value:
    """A row from its JSON, or why it is none. NaN counts as null, as in pandas; of equal keys the last counts."""
    try:
        value = DECODER.decode(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return BadInput(f"{where} is not UTF-8 (byte {error.start} of the line); {EXPECTED} in UTF-8.")
    except (ValueError, RecursionError) as error:
        return BadInput(f"{where} is not JSON ({error}); {EXPECTED}.")
    if not isinstance(value, dict):
        return BadInput(f"{where} is {type_of(value)}; {EXPECTED}.")
    return value


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MAX_DIGITS else digits


DECODER = json.JSONDecoder(parse_int=_integer, parse_constant=lambda name: None)
"""Takes what `json.loads` takes, and integers of any length: as a text if they are too long to be a number."""
