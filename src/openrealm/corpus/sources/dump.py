"""A MediaWiki dump, .xml or .xml.bz2 with one stream or many, as a stream of pages and damaged ranges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from openrealm.corpus.sources.bzip2 import Chunk, blocks
from openrealm.errors import BadInput
from openrealm.types import DEFAULT_LIMITS, Limits

_READ_BYTES = 1 << 20
_PAGE, _PAGE_END, _ROOT_END = b"<page>", b"</page>", b"</mediawiki>"


@dataclass(frozen=True, slots=True)
class Loss:
    """A range of the file that could not be read: bytes `start` to `end`, and why."""

    start: int
    end: int
    why: str


@dataclass(frozen=True, slots=True)
class Piece:
    """`<page>...</page>` as it is in the dump, or the header before the first page.

    start, end  bytes of the file that it was read from; in a compressed file, those of the blocks that contain it
    xml         None for a page larger than `Limits.max_page_mb`
    """

    start: int
    end: int
    xml: bytes | None
    is_header: bool = False


def pieces(path: Path, limits: Limits = DEFAULT_LIMITS) -> Iterator[Piece | Loss]:
    """Header, pages and losses of a dump in order; never more than one page and a few blocks are in memory.

    Raises BadInput if the file cannot be read at all.
    """
    try:
        with path.open("rb") as handle:
            is_compressed = handle.read(3) == b"BZh" or path.suffix == ".bz2"
            handle.seek(0)
            splitter = _Splitter(is_compressed, limits.max_page_mb << 20)
            for chunk in blocks(handle) if is_compressed else _plain(handle):
                yield from splitter.feed(chunk)
            yield from splitter.finish()
    except OSError as error:
        raise BadInput(f"{path} could not be read ({error.strerror}); check its permissions.") from error


def _plain(handle: BinaryIO) -> Iterator[Chunk]:
    start = 0
    while data := handle.read(_READ_BYTES):
        yield Chunk(start, start + len(data), data)
        start += len(data)


class _Splitter:
    """Splits text into pages. Wikitext escapes "<" as "&lt;", so the tags searched for appear nowhere else."""

    def __init__(self, is_compressed: bool, max_bytes: int) -> None:
        self._is_compressed, self._max_bytes = is_compressed, max_bytes
        self._buffer = bytearray()
        self._places: list[tuple[int, int]] = []  # where each chunk begins in the buffer and in the file
        self._file_end = 0
        self._num_searched = 0  # bytes of the buffer that contain no end of a page
        self._is_behind_gap = False  # then the bytes before the next page are the rest of a lost one
        self._large_start: int | None = None  # start of a page that is too large; the buffer holds only its last bytes

    def feed(self, chunk: Chunk) -> Iterator[Piece | Loss]:
        """Pieces and losses that are complete with this chunk."""
        self._file_end = chunk.end
        if chunk.data is None:
            yield Loss(chunk.start, chunk.end, chunk.problem)
            if self._is_within_page():
                yield Loss(self._page_start(), chunk.start, "the page before it is truncated")
            self._drop(len(self._buffer))
            self._is_behind_gap, self._large_start = True, None
            return
        self._places.append((len(self._buffer), chunk.start))
        self._buffer += chunk.data
        while self._large_start is not None or (start := self._buffer.find(_PAGE)) >= 0:
            if self._large_start is None and start:
                yield from self._between(start)
                self._drop(start)
            end = self._page_end()
            if not end:
                break
            yield from self._page(end)
        if len(self._buffer) > self._max_bytes and not self._is_within_page():
            num_bytes = len(self._buffer) - len(_PAGE)
            yield from self._between(num_bytes)
            self._drop(num_bytes)

    def finish(self) -> Iterator[Loss]:
        """Check that the file ends as a dump does."""
        if self._is_within_page():
            yield Loss(self._page_start(), self._file_end, "the file ends within a page")
        elif _ROOT_END not in self._buffer and not (self._is_behind_gap and not self._buffer.strip()):
            yield Loss(self._place(0), self._file_end, "the file ends before </mediawiki>")

    def _is_within_page(self) -> bool:
        return self._large_start is not None or _PAGE in self._buffer

    def _page_start(self) -> int:
        return self._place(0) if self._large_start is None else self._large_start

    def _page_end(self) -> int:
        """Where the page at the start of the buffer ends; 0 while its end has not arrived."""
        end = self._buffer.find(_PAGE_END, self._num_searched)
        if end >= 0:
            return end + len(_PAGE_END)
        self._num_searched = max(0, len(self._buffer) - len(_PAGE_END))
        if len(self._buffer) > self._max_bytes:
            self._large_start = self._page_start()
            self._drop(self._num_searched)
        return 0

    def _page(self, end: int) -> Iterator[Piece | Loss]:
        """Take the page that ends at `end`, or the last of several if earlier ones have no end."""
        if self._large_start is not None:
            yield Piece(self._large_start, self._place(end - 1) + 1, None)
            self._large_start = None
        else:
            start = self._buffer.rfind(_PAGE, 0, end)
            if start:
                yield Loss(self._place(0), self._place(start), "a page has no end")
            yield Piece(self._place(start), self._place(end - 1) + 1, bytes(self._buffer[start:end]))
        self._drop(end)

    def _between(self, length: int) -> Iterator[Piece | Loss]:
        """Handle the bytes before a page: white space or the header."""
        between = bytes(self._buffer[:length])
        if b"<siteinfo" in between:
            yield Piece(self._place(0), self._place(length), between, is_header=True)
        elif between.strip() and b"mediawiki" not in between and not self._is_behind_gap:
            yield Loss(self._place(0), self._place(length), "this is not a page")
        self._is_behind_gap = False

    def _place(self, position: int) -> int:
        """The byte of the file that a buffer position came from; in a compressed file, the start of its block."""
        found = next(((at, start) for at, start in reversed(self._places) if at <= position), None)
        if found is None:
            return self._file_end
        return found[1] if self._is_compressed else found[1] + position - found[0]

    def _drop(self, length: int) -> None:
        del self._buffer[:length]
        self._num_searched = 0
        moved = [(at - length, start) for at, start in self._places]
        num_dropped = sum(at <= 0 for at, _ in moved) - 1
        self._places = moved[max(0, num_dropped) :] if self._buffer else []
