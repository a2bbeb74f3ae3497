"""Rows of different lengths as two flat arrays, in memory or memory-mapped: concatenated values and ends of rows."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from openrealm import files
from openrealm.errors import DamagedArtefact

IntArray = npt.NDArray[np.integer[Any]]


def end_to_end(rows: Sequence[IntArray], dtype: str, width: int = 1) -> tuple[IntArray, IntArray]:
    """Rows (n,) or (n, width) as values of `dtype` and the end of each row; OverflowError if a number does not fit.

    width  numbers per entry, such as 2 for half-open ranges
    """
    item = np.dtype(dtype).newbyteorder("<")
    values = np.concatenate([np.empty((0, width) if width > 1 else 0, np.int64), *rows])
    if values.size and (values.max() > np.iinfo(item).max or values.min() < 0):
        raise OverflowError(f"a number of {values.min()} .. {values.max()} does not fit {item}")
    return values.astype(item), np.cumsum([len(row) for row in rows], dtype="<u8")


def texts_end_to_end(texts: Iterable[str]) -> tuple[IntArray, IntArray]:
    """Texts as the values of their UTF-8 bytes and the end of each."""
    rows = [text.encode() for text in texts]
    return np.frombuffer(b"".join(rows), "u1"), np.cumsum([len(row) for row in rows], dtype="<u8")


def lengths_of(ends: IntArray) -> npt.NDArray[np.int64]:
    """(n,) number of entries of each row."""
    last: npt.NDArray[np.int64] = ends.astype(np.int64)
    lengths = last.copy()
    lengths[1:] -= last[:-1]
    return lengths


def any_in_rows(is_marked: npt.NDArray[np.bool_], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(n,) whether any entry of each row is marked, given the marks of all entries end to end."""
    num_before, ends = np.concatenate([[0], np.cumsum(is_marked)]), np.cumsum(lengths)
    return np.asarray(num_before[ends] > num_before[ends - lengths])


def selected(values: IntArray, ends: IntArray, is_selected: npt.NDArray[np.bool_]) -> tuple[IntArray, IntArray]:
    """The marked rows as values and ends."""
    if is_selected.all():
        return values, ends
    lengths = lengths_of(ends)
    return values[np.repeat(is_selected, lengths)], np.cumsum(lengths[is_selected], dtype="<u8")


class RaggedWriter:
    """Writes rows to NAME.bin and NAME.ends.bin, many at a time."""

    def __init__(self, folder: Path, name: str, dtype: str) -> None:
        self._values = files.new_file(folder / f"{name}.bin")
        self._ends = files.new_file(folder / f"{name}.ends.bin")
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self.num_values = 0

    def extend(self, values: IntArray, ends: IntArray) -> None:
        """Append the rows that `end_to_end` returned."""
        self._values.write(np.ascontiguousarray(values, self._dtype).data)
        self._ends.write((ends.astype("<u8") + np.uint64(self.num_values)).data)
        self.num_values += len(values)

    def __enter__(self) -> RaggedWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._values.close()
        self._ends.close()


class Ragged:
    """Reads what RaggedWriter wrote: `rows[i]` is an array (n,) or (n, width), a read-only view of the memory map."""

    def __init__(self, folder: Path, name: str, dtype: str, width: int = 1) -> None:
        """Raises DamagedArtefact if a file is missing or truncated, or the ends of rows are not in order."""
        self._ends = open_flat(folder / f"{name}.ends.bin", "u8")
        self.values = open_flat(folder / f"{name}.bin", dtype, width)
        num_expected = int(self._ends[-1]) if len(self._ends) else 0
        if len(self.values) != num_expected:
            raise DamagedArtefact(
                f"{folder / name}.bin contains {len(self.values):,} entries, but "
                f"{folder / name}.ends.bin says {num_expected:,}; rebuild {folder}."
            )
        if bool((self._ends[1:] < self._ends[:-1]).any()):
            raise DamagedArtefact(f"{folder / name}.ends.bin is damaged (its ends are not in order); rebuild {folder}.")
        release(self._ends)

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def ends(self) -> IntArray:
        """(n,) where each row ends among all values."""
        return self._ends

    def lengths(self) -> npt.NDArray[np.int64]:
        """(n,) number of entries of each row."""
        return lengths_of(self._ends)

    def __getitem__(self, i: int) -> IntArray:
        return self.values[self.bounds(i)]

    def bounds(self, i: int) -> slice:
        """Where the entries of row i are among all values."""
        return slice(int(self._ends[i - 1]) if i else 0, int(self._ends[i]))

    def row_of(self, entry: int) -> int:
        """The row that has the entry with this place among all values."""
        return int(np.searchsorted(self._ends, np.uint64(entry), "right"))

    def entries(self, rows: slice) -> tuple[slice, npt.NDArray[np.int64]]:
        """Where the entries of consecutive rows are among all values, and the length of each row."""
        ends = self._ends[rows].astype(np.int64)
        first = int(self._ends[rows.start - 1]) if rows.start else 0
        return slice(first, int(ends[-1]) if len(ends) else first), np.diff(ends, prepend=first)

    def part(self, rows: slice) -> tuple[IntArray, npt.NDArray[np.int64]]:
        """Values and lengths of consecutive rows."""
        entries, lengths = self.entries(rows)
        return self.values[entries], lengths

    def text(self, i: int) -> str:
        """Row i of a file of bytes, decoded as UTF-8; bytes that are damaged are replaced."""
        return self[i].tobytes().decode("utf-8", "replace")


def release(values: IntArray) -> None:
    """Give the memory of a memory-mapped array back, after it was read from end to end; it stays readable."""
    base: Any = values
    while isinstance(base, np.ndarray):
        base = base.base
    held = base.obj if isinstance(base, memoryview) else base
    if isinstance(held, mmap.mmap):
        held.madvise(mmap.MADV_DONTNEED)


def characters_of(data: IntArray, lengths: IntArray) -> IntArray:
    """(n,) characters of texts that are given by their UTF-8 bytes, end to end, and the number of bytes of each."""
    # A byte starts a character unless it is of the form 10xxxxxx.
    num_before = np.concatenate([[0], np.cumsum((data & 0xC0) != 0x80)])
    counts: IntArray = np.diff(num_before[np.concatenate([[0], np.cumsum(lengths)])])
    return counts


def open_flat(path: Path, dtype: str, width: int = 1) -> IntArray:
    """Memory map of little-endian integers, (n,) or (n, width); raises DamagedArtefact if missing or truncated."""
    item = np.dtype(dtype).newbyteorder("<")
    try:
        num_bytes = path.stat().st_size
    except FileNotFoundError as error:
        raise DamagedArtefact(f"{path} is missing; rebuild {path.parent}.") from error
    if num_bytes % (item.itemsize * width):
        raise DamagedArtefact(f"{path} is truncated ({num_bytes} bytes); rebuild {path.parent}.")
    if num_bytes == 0:  # an empty file cannot be mapped
        values: IntArray = np.empty(0, dtype=item)
    else:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        values = np.frombuffer(mapped, dtype=item)  # whose slices are twice as fast as those of np.memmap
    return values.reshape(-1, width) if width > 1 else values
