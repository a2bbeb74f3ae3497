"""A MediaWiki dump as a stream of pages: .xml or .xml.bz2, of one stream or many, whole or damaged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from openrealm.corpus.sources.bzip2 import Stretch, blocks
from openrealm.errors import BadInput

MAX_PAGE_BYTES = 64 << 20
_READ_BYTES = 1 << 20
_PAGE, _PAGE_END, _ROOT_END = b"<page>", b"</page>", b"</mediawiki>"


@dataclass(frozen=True, slots=True)
class Loss:
    """What could not be read: the bytes of the file `start` to `end` it stood in, and why."""

    start: int
    end: int
    why: str


@dataclass(frozen=True, slots=True)
class Piece:
    """`<page>...</page>` as it stands in the dump, or the header before the first page.

    start, end  bytes of the file that it was read from; of a compressed file those of the blocks that hold it
    xml         None for a page larger than MAX_PAGE_BYTES
    """

    start: int
    end: int
    xml: bytes | None
    is_header: bool = False


def pieces(path: Path, losses: list[Loss] | None = None) -> Iterator[Piece]:
    """Header and pages of a dump in its order; in memory there is never more than one page and a few blocks.

    Raises BadInput naming the file's byte at the first damage; with `losses`, adds it there and goes on behind it.
    """
    try:
        with path.open("rb") as handle:
            is_packed = handle.read(3) == b"BZh" or path.suffix == ".bz2"
            handle.seek(0)
            splitter = _Splitter(path, losses, is_packed)
            for stretch in blocks(handle) if is_packed else _plain(handle):
                yield from splitter.feed(stretch)
            splitter.finish()
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); check its permissions.") from error


def note_loss(path: Path, losses: list[Loss] | None, loss: Loss) -> None:
    """Raise BadInput for a damage, or add it to the list of losses where there is one."""
    if losses is None:
        raise BadInput(
            f"{path} is damaged at byte {loss.start:,} ({loss.why}); fetch the file again, or keep what is whole "
            "with --salvage."
        )
    losses.append(loss)


def _plain(handle: BinaryIO) -> Iterator[Stretch]:
    start = 0
    while data := handle.read(_READ_BYTES):
        yield Stretch(start, start + len(data), data)
        start += len(data)


class _Splitter:
    """Text in, pages out. In wikitext "<" is written "&lt;", so that the tags looked for stand nowhere else."""

    def __init__(self, path: Path, losses: list[Loss] | None, is_packed: bool) -> None:
        self._path, self._losses, self._is_packed = path, losses, is_packed
        self._buffer = bytearray()
        self._places: list[tuple[int, int]] = []  # where in the buffer each stretch begins, and where in the file
        self._file_end = 0
        self._num_searched = 0  # bytes of the buffer that hold no end of a page
        self._is_behind_gap = False  # then what comes before the next page is the rest of a lost one
        self._is_page_too_large = False  # then the buffer holds no more than its last bytes

    def feed(self, stretch: Stretch) -> Iterator[Piece]:
        """What is whole with this stretch."""
        self._file_end = stretch.end
        if stretch.data is None:
            self._lose(stretch.start, stretch.end, stretch.problem)
            if _PAGE in self._buffer or self._is_page_too_large:
                self._lose(self._place(0), stretch.start, "the page before it is cut off")
            self._drop(len(self._buffer))
            self._is_behind_gap, self._is_page_too_large = True, False
            return
        self._places.append((len(self._buffer), stretch.start))
        self._buffer += stretch.data
        while self._is_page_too_large or (start := self._buffer.find(_PAGE)) >= 0:
            if not self._is_page_too_large and start:
                yield from self._between(start)
                self._drop(start)
            page = self._page()
            if page is None:
                break
            yield page

    def finish(self) -> None:
        """Hold the end of the file against what should stand there."""
        if _PAGE in self._buffer or self._is_page_too_large:
            self._lose(self._place(0), self._file_end, "it ends within a page")
        elif _ROOT_END not in self._buffer and not (self._is_behind_gap and not self._buffer.strip()):
            self._lose(self._place(0), self._file_end, "it ends before </mediawiki>")

    def _page(self) -> Piece | None:
        """The page at the buffer's beginning, once its end is there."""
        end = self._buffer.find(_PAGE_END, self._num_searched)
        if end < 0:
            self._num_searched = max(0, len(self._buffer) - len(_PAGE_END))
            if len(self._buffer) > MAX_PAGE_BYTES:
                self._is_page_too_large = True
                self._drop(self._num_searched)
            return None
        end += len(_PAGE_END)
        start = max(0, self._buffer.rfind(_PAGE, 0, end))
        if start and not self._is_page_too_large:
            self._lose(self._place(0), self._place(start), "a page has no end")
        xml = None if self._is_page_too_large else bytes(self._buffer[start:end])
        page = Piece(self._place(start), self._place(end - 1) + 1, xml)
        self._is_page_too_large = False
        self._drop(end)
        return page

    def _between(self, length: int) -> Iterator[Piece]:
        """Look at what stands before a page: white space, or the header."""
        between = bytes(self._buffer[:length])
        if b"<siteinfo" in between:
            yield Piece(self._place(0), self._place(length), between, is_header=True)
        elif between.strip() and b"mediawiki" not in between and not self._is_behind_gap:
            self._lose(self._place(0), self._place(length), "this is no page")
        self._is_behind_gap = False

    def _place(self, position: int) -> int:
        """The byte of the file that a place in the buffer came from; of a compressed file that of its block."""
        found = next(((at, start) for at, start in reversed(self._places) if at <= position), None)
        if found is None:
            return self._file_end
        return found[1] if self._is_packed else found[1] + position - found[0]

    def _drop(self, length: int) -> None:
        del self._buffer[:length]
        self._num_searched = 0
        moved = [(at - length, start) for at, start in self._places]
        num_gone = sum(at <= 0 for at, _ in moved) - 1
        self._places = moved[max(0, num_gone) :] if self._buffer else []

    def _lose(self, start: int, end: int, why: str) -> None:
        note_loss(self._path, self._losses, Loss(start, end, why))
