"""A .json file as a source: an array of objects, or one object per line."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openrealm.corpus.sources import RowSource, jsonl
from openrealm.corpus.sources.jsonl import DECODER
from openrealm.corpus.sources.lines import read_blocks
from openrealm.corpus.sources.rows import EXPECTED, NoText, RowFormat, Value, type_of
from openrealm.errors import BadInput
from openrealm.types import Limits

_SPACES = re.compile(r"[ \t\r\n]*")


def _rows(path: Path, limits: Limits) -> Iterator[tuple[int, Value]]:
    blocks = _decoded(path, limits)
    text = next(blocks, "").lstrip()
    if text.startswith("["):
        yield from _items(path, text[1:], blocks, limits.max_row_mb << 20)
    elif text.startswith("{") and ("\n" not in text or _is_row(text.partition("\n")[0])):
        yield from jsonl.FORMAT.rows(path, limits)
    else:
        what = "one JSON object" if text.startswith("{") else "no JSON"
        raise NoText(
            f'{path} is {what}; expected an array such as [{{"id": "1", "title": "Peru", "text": "Peru is ..."}}, ...].'
        )


FORMAT = RowFormat("item", _rows)


class JsonArray(RowSource):
    """A .json file, plain or compressed."""

    kind = "json"
    form = FORMAT


def _is_row(line: str) -> bool:
    try:
        return isinstance(DECODER.decode(line), dict)
    except (ValueError, RecursionError):
        return False


def _decoded(path: Path, limits: Limits) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    num_bytes = 0
    try:
        for block in read_blocks(path, limits):
            yield decoder.decode(block)
            num_bytes += len(block)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 (byte {num_bytes + error.start:,}); save it as UTF-8.") from error


def _items(path: Path, text: str, blocks: Iterator[str], most: int) -> Iterator[tuple[int, Value]]:
    """The items of an array; `text` and `blocks` are what follows its "["."""
    number, start, is_last = 0, 0, False
    while True:
        try:
            value, start = _next_item(text, start, is_first=number == 0)
        except _End as end:
            _refuse_more(path, text[end.position :], blocks)
            return
        except (ValueError, RecursionError) as error:
            if isinstance(error, json.JSONDecodeError) and not is_last and len(text) - start <= most:
                more = _at_least(blocks, len(text) - start)  # the item may only be cut by the end of a block
                text, start, is_last = text[start:] + more, 0, not more
                continue
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise BadInput(
                f"{path}, item {number + 1} is not JSON ({reason}), or longer than {most:,} bytes (corpus.max_row_mb); "
                f"{EXPECTED}."
            ) from error
        number += 1
        where = f"{path}, item {number}"
        yield number, value if isinstance(value, dict) else BadInput(f"{where} is {type_of(value)}; {EXPECTED}.")


class _End(Exception):
    """The "]" of the array, before `position`."""

    def __init__(self, position: int) -> None:
        self.position = position


def _next_item(text: str, start: int, *, is_first: bool) -> tuple[Any, int]:
    """The item after character `start`, and where it ends. Raises JSONDecodeError if it is not all there."""
    start = _after_spaces(text, start)
    if text.startswith("]", start):
        raise _End(start + 1)
    if not is_first:
        if not text.startswith(",", start):
            raise json.JSONDecodeError("Expecting ',' delimiter", text, start)
        start = _after_spaces(text, start + 1)
    value, end = DECODER.raw_decode(text, start)
    if end == len(text):  # a number may go on
        raise json.JSONDecodeError("Expecting ',' delimiter", text, end)
    return value, end


def _after_spaces(text: str, start: int) -> int:
    match = _SPACES.match(text, start)
    assert match is not None
    return match.end()


def _at_least(blocks: Iterator[str], num_characters: int) -> str:
    """The next blocks; twice as much each time, so that long items are not parsed over and over."""
    found: list[str] = []
    length = 0
    for block in blocks:
        found.append(block)
        length += len(block)
        if length >= num_characters:
            break
    return "".join(found)


def _refuse_more(path: Path, rest: str, blocks: Iterator[str]) -> None:
    if rest.strip() or any(block.strip() for block in blocks):
        raise BadInput(f"{path} goes on after the end of its array; write one array, or one object per line.")
