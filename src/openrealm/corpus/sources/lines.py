"""Lines of a file, plain or compressed, with bounds on their length and on what a file may expand to."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from openrealm.errors import BadInput
from openrealm.types import DEFAULT_LIMITS, Limits

COMPRESSIONS = (".xz", ".gz", ".zst", ".bz2")
"""Endings that a compressed file may have; what tells how it is compressed is its first bytes."""

_ALWAYS_ALLOWED_BYTES = 32 << 20
_MARKS = {b"\xfd7zXZ\0": ".xz", b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst", b"BZh": ".bz2"}
_BROKEN = (lzma.LZMAError, zlib.error, EOFError)
_BLOCK_BYTES = 1 << 20


def read_lines(path: Path, limits: Limits = DEFAULT_LIMITS) -> Iterator[bytes]:
    """Lines of a file without their "\\n", in order; those of a compressed file are decompressed.

    Raises BadInput for a line that is too long, for a file that is damaged, truncated or cannot be read, and for one
    that expands to more than 32 MiB and too many times its length: text seldom expands more than tenfold.
    """
    number, most = 0, limits.max_row_mb << 20
    unfinished = bytearray()
    with _telling(path, lambda: f"after line {number}" if number else "in the first line"):
        for block in _blocks(path, limits):
            *lines, rest = block.split(b"\n")  # much faster than asking for one line after another
            if lines:
                lines[0] = bytes(unfinished) + lines[0]
                unfinished.clear()
            unfinished += rest
            yield from lines
            number += len(lines)
            if len(unfinished) > most:
                raise BadInput(
                    f"{path}:{number + 1} is longer than {most:,} bytes; write one article per line, or raise "
                    "corpus.max_row_mb."
                )
        if unfinished:
            yield bytes(unfinished)


def read_blocks(path: Path, limits: Limits = DEFAULT_LIMITS) -> Iterator[bytes]:
    """Content of a file in blocks of up to a megabyte, decompressed; raises as `read_lines` does."""
    num_bytes = 0
    with _telling(path, lambda: f"after {num_bytes:,} bytes"):
        for block in _blocks(path, limits):
            yield block
            num_bytes += len(block)


@contextmanager
def _telling(path: Path, reached: Callable[[], str]) -> Iterator[None]:
    """Turn errors of reading and decompressing into BadInput."""
    try:
        yield
    except (*_BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise BadInput(f"{path} could not be read ({error.strerror}); check its permissions.") from error
        raise BadInput(f"{path} is damaged or truncated {reached()} ({error}); download the file again.") from error


def _blocks(path: Path, limits: Limits) -> Iterator[bytes]:
    num_bytes, num_packed = 0, path.stat().st_size
    with path.open("rb") as raw, _decompressed(path, raw) as handle:
        while block := handle.read(_BLOCK_BYTES):
            num_bytes += len(block)
            if num_bytes > _ALWAYS_ALLOWED_BYTES and num_bytes > limits.max_expansion * num_packed:
                raise BadInput(
                    f"{path} has {num_packed:,} bytes and expands to more than {limits.max_expansion} times as many, "
                    "which text does not; check what it holds, or raise corpus.max_expansion."
                )
            yield block


def plain_name(name: str) -> str:
    """A file name in lower case without the ending that says how it is compressed.

    >>> plain_name("Articles.jsonl.GZ")
    'articles.jsonl'
    """
    lowered = name.lower()
    return next((lowered.removesuffix(ending) for ending in COMPRESSIONS if lowered.endswith(ending)), lowered)


def _decompressed(path: Path, raw: IO[bytes]) -> IO[bytes]:
    start = raw.read(4096)
    raw.seek(0)
    compression = next((name for mark, name in _MARKS.items() if start.startswith(mark)), "")
    if compression == ".xz":
        return cast(IO[bytes], io.BufferedReader(lzma.LZMAFile(raw), _BLOCK_BYTES))
    if compression == ".gz":
        return cast(IO[bytes], io.BufferedReader(gzip.GzipFile(fileobj=raw), _BLOCK_BYTES))
    if compression == ".bz2":
        return cast(IO[bytes], io.BufferedReader(bz2.BZ2File(raw), _BLOCK_BYTES))
    if compression == ".zst":
        # Arrow's reader, because it notices a truncated file; the zstandard package takes that for the end.
        return io.BufferedReader(pa.input_stream(str(path), compression="zstd", buffer_size=1 << 16))
    named = path.suffix.lower()
    if named in COMPRESSIONS and b"\0" in start:
        raise BadInput(f"{path} is damaged: it does not begin like a {named} file; download the file again.")
    return raw
