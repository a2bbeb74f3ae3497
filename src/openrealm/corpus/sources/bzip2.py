"""Reads bzip2 block by block, so that damage is located and the intact blocks around it are kept.

A bzip2 file is a sequence of blocks of up to 900 kB of text that start at arbitrary bits, each with its own checksum.
Every block is turned into a small bzip2 file and decompressed by itself; the number of streams does not matter.
"""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_BLOCK, _END = 0x314159265359, 0x177245385090  # the 48 bits that begin a block, and those that end a stream
_HEADER = b"BZh9"  # the largest block size, which fits all
_HEADER_BITS, _MARK_BITS, _CHECK_BITS = 32, 48, 32
_READ_BYTES = 256 << 10
# A block of 900,000 bytes cannot grow to more than this by compression.
_MAX_BLOCK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes `start` to `end` of a file: the text they hold, or the `problem` if `data` is None."""

    start: int
    end: int
    data: bytes | None
    problem: str = ""


def blocks(handle: BinaryIO) -> Iterator[Chunk]:
    """The blocks of a bzip2 file in order, with damaged or missing ranges in their places.

    A block is accepted only if its checksum is right; the stream's checksum tells whether blocks are missing.
    """
    window = _Window(handle)
    bit, mark = window.next_mark(0)
    if bit != _HEADER_BITS:
        yield Chunk(0, bit // 8, None, "the file does not begin like bzip2")
    check: int | None = 0
    while mark is not None:
        stored = window.bits(bit + _MARK_BITS, _CHECK_BITS)
        if mark == _END:
            following, next_mark = window.next_mark(bit + _MARK_BITS)
            yield from _end_problems(bit, following, next_mark, check is not None and check != stored)
            check = 0
        else:
            data, following, next_mark = _block(window, bit, stored)
            yield Chunk(bit // 8, following // 8, data, "" if data is not None else "the checksum is wrong")
            if next_mark is None:
                yield Chunk(following // 8, following // 8, None, "the file is truncated")
            # Each loss is reported once: after a damaged block, the stream's checksum says nothing new.
            rotated = None if data is None or check is None else ((check << 1) | (check >> 31)) & 0xFFFFFFFF
            check = None if rotated is None else rotated ^ stored
        window.forget(following)
        bit, mark = following, next_mark


def _end_problems(bit: int, following: int, next_mark: int | None, is_sum_wrong: bool) -> Iterator[Chunk]:
    """Problems with the end of a stream at `bit`, or between it and the next mark."""
    end = -(-(bit + _MARK_BITS + _CHECK_BITS) // 8)
    if is_sum_wrong:
        yield Chunk(bit // 8, end, None, "blocks before it are missing")
    if following != 8 * end + (_HEADER_BITS if next_mark is not None else 0):
        yield Chunk(end, following // 8, None, "a block is unreadable")


def _block(window: _Window, bit: int, stored: int) -> tuple[bytes | None, int, int | None]:
    """Text of the block at `bit`, or None; the position of the next mark, and that mark."""
    following, next_mark = window.next_mark(bit + _MARK_BITS)
    data = _decompressed(window, bit, following, stored)
    if data is None and next_mark == _BLOCK:  # the bits of a mark may occur within a block by chance
        after, mark_after = window.next_mark(following + _MARK_BITS)
        data = _decompressed(window, bit, after, stored)
        if data is not None:
            following, next_mark = after, mark_after
    return data, following, next_mark


def _decompressed(window: _Window, start: int, end: int, check: int) -> bytes | None:
    """Text of one block, decompressed as a file of its own, or None if it is damaged."""
    if end - start > 8 * _MAX_BLOCK_BYTES:
        return None
    bits = (((window.bits(start, end - start) << _MARK_BITS) | _END) << _CHECK_BITS) | check
    num_bits = end - start + _MARK_BITS + _CHECK_BITS
    padding = -num_bits % 8
    try:
        return bz2.decompress(_HEADER + (bits << padding).to_bytes((num_bits + padding) // 8, "big"))
    except (OSError, ValueError):
        return None


class _Window:
    """The part of a file in memory, addressed by bits from the start of the file."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle, self._data, self._start, self._ended = handle, bytearray(), 0, False

    def bits(self, first: int, number: int) -> int:
        """`number` bits from `first` on as one integer; bits beyond the end of the file are 0."""
        start, end = first // 8 - self._start, -(-(first + number) // 8) - self._start
        piece = bytes(self._data[start:end]).ljust(end - start, b"\0")
        return (int.from_bytes(piece, "big") >> (-(first + number) % 8)) & ((1 << number) - 1)

    def next_mark(self, first: int) -> tuple[int, int | None]:
        """Position of the next mark, and the mark; at the end of the file, its length in bits and None."""
        searched = first // 8 - self._start
        while True:
            found = min((hit for mark in (_BLOCK, _END) for hit in self._hits(mark, searched, first)), default=None)
            if found:
                return found
            if self._ended:
                return 8 * (self._start + len(self._data)), None
            if len(self._data) > 2 * _MAX_BLOCK_BYTES:  # no block is that long, so none of it will be needed
                self.forget(8 * (self._start + len(self._data) - 7))
            searched = max(first // 8 - self._start, len(self._data) - 7, 0)
            self._read()

    def _hits(self, mark: int, searched: int, first: int) -> Iterator[tuple[int, int]]:
        """First position of a mark at each bit shift, found by its five inner bytes."""
        limit = 8 * (self._start + len(self._data)) - _MARK_BITS
        for shift in range(8):
            inner = ((mark << (8 - shift)) >> 8 & 0xFFFFFFFFFF).to_bytes(5, "big")
            at = searched
            while (at := self._data.find(inner, at)) >= 0:
                bit = 8 * (self._start + at - 1) + shift
                if first <= bit <= limit and self.bits(bit, _MARK_BITS) == mark:
                    yield bit, mark
                    break
                at += 1

    def forget(self, bit: int) -> None:
        """Drop everything before a bit."""
        num_bytes = max(0, bit // 8 - self._start)
        del self._data[:num_bytes]
        self._start += num_bytes

    def _read(self) -> None:
        piece = self._handle.read(_READ_BYTES)
        self._ended = not piece
        self._data += piece
