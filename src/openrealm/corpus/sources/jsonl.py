"""JSON lines as a source, plain or compressed: {"id": ..., "title": ..., "text": ...} per line."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from openrealm.corpus.clean import check_line_lengths, clean_text, clean_title
from openrealm.corpus.sources import FileSource
from openrealm.errors import BadInput
from openrealm.types import Article

MAX_LINE_BYTES = 64 << 20
ENDINGS = (".jsonl", ".jsonl.xz", ".jsonl.gz", ".jsonl.zst", ".jsonl.bz2")
_BROKEN = (lzma.LZMAError, zlib.error, EOFError)
_EXPECTED = 'expected an object such as {"id": "1", "title": "Peru", "text": "Peru is ..."}'


class JsonLines(FileSource):
    """A .jsonl file, plain or compressed."""

    kind = "jsonl"

    @classmethod
    def reads(cls, path: Path) -> bool:
        """Whether the name ends in one of ENDINGS."""
        return path.is_file() and path.name.lower().endswith(ENDINGS)

    def articles(self) -> Iterator[Article]:
        """See `read`."""
        return read(self.path)


def read(path: Path) -> Iterator[Article]:
    """Articles of a .jsonl, .jsonl.xz, .jsonl.gz, .jsonl.zst or .jsonl.bz2 file, in order; blank lines are skipped.

    The id defaults to the line number, the title to an empty string. Lines without text give no article.
    Raises BadInput naming the file and line that is invalid, or at which compressed data ends too early.
    """
    for number, line in _lines(path):
        where = f"{path}:{number}"
        article = _article(line, number, where)
        if article.text:
            yield article


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines without blank ones; never more than MAX_LINE_BYTES in memory."""
    number = 0
    try:
        with _opened(path) as handle:
            while line := handle.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise BadInput(
                        f"{path}:{number} is longer than {MAX_LINE_BYTES:,} bytes; write one article per line."
                    )
                if line.strip():
                    yield number, line
    except (*_BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise BadInput(f"{path} could not be read ({error.strerror}); check its permissions.") from error
        reached = f"after line {number}" if number else "in the first line"
        raise BadInput(f"{path} is damaged or truncated {reached} ({error}); download the file again.") from error


def _opened(path: Path) -> IO[bytes]:
    ending = path.suffix.lower()
    if ending == ".xz":
        return cast(IO[bytes], lzma.open(path, "rb"))
    if ending == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    if ending == ".bz2":
        return cast(IO[bytes], bz2.open(path, "rb"))
    if ending == ".zst":
        # Arrow's reader, because it notices a truncated file; the zstandard package takes that for the end.
        return io.BufferedReader(pa.input_stream(str(path), compression="zstd", buffer_size=1 << 16))
    return path.open("rb")


def _article(line: bytes, number: int, where: str) -> Article:
    try:
        value = json.loads(line)
    except UnicodeDecodeError as error:
        raise BadInput(f"{where} is not UTF-8 (byte {error.start} of the line); {_EXPECTED} in UTF-8.") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"{where} is not JSON ({error}); {_EXPECTED}.") from error
    if not isinstance(value, dict):
        raise BadInput(f"{where} is a {type(value).__name__}; {_EXPECTED}.")
    text = clean_text(_string(value, "text", where))
    check_line_lengths(text, where)
    title = clean_title(_string(value, "title", where, default=""))
    return Article(_id(value, number, where), title, text)


def _id(value: dict[str, Any], number: int, where: str) -> str:
    found = value.get("id")
    if found is None:
        return str(number)
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise BadInput(f'{where}: "id" is a {type(found).__name__}; expected a string or an integer.')
    return str(found)


def _string(value: dict[str, Any], key: str, where: str, default: str | None = None) -> str:
    found = value.get(key, default)
    if found is None:
        raise (
            BadInput(f'{where} has no "{key}"; {_EXPECTED}.')
            if key not in value
            else BadInput(f'{where}: "{key}" is null; expected a string.')
        )
    if not isinstance(found, str):
        raise BadInput(f'{where}: "{key}" is a {type(found).__name__}; expected a string.')
    return found
