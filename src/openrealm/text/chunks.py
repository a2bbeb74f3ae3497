"""Reads text in chunks between spaces, for searches whose results in a chunk do not depend on its surroundings.

Each distinct chunk is searched once and remembered, which finds the word pieces of a corpus several times faster.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from openrealm.text.numbering import Keys, Numbering, Numbers, codes_of, keys_of

# The white space at which chunks end. BERT's rules always split here; they delete some other white space.
SPACES = " \t\n\r"

# Beyond either limit everything remembered is forgotten at once, so that no text needs more than about 200 MB.
_MAX_CHUNKS = 1 << 20
_MAX_FOUND = 1 << 21


@dataclass(frozen=True, slots=True)
class Rows:
    """Results of many texts, concatenated (N in all); `rows[i]` are those of text i.

    values  (N,) values such as token ids
    ranges  (N, 2) half-open character ranges, each in its own text
    ends    (number of texts,) where the results of each text end
    """

    values: Numbers
    ranges: Numbers
    ends: Numbers

    def counts(self) -> Numbers:
        """(number of texts,) number of results of each."""
        return _lengths(self.ends)

    def part(self, first: int, last: int) -> Rows:
        """Results of texts first .. last - 1, as views."""
        start, end = ((int(self.ends[i - 1]) if i else 0) for i in (first, last))
        return Rows(self.values[start:end], self.ranges[start:end], self.ends[first:last] - start)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, i: int) -> tuple[Numbers, Numbers]:
        """Values (n,) and ranges (n, 2) of text i, as views."""
        start, end = (int(self.ends[i - 1]) if i else 0), int(self.ends[i])
        return self.values[start:end], self.ranges[start:end]

    def __iter__(self) -> Iterator[tuple[Numbers, Numbers]]:
        return (self[i] for i in range(len(self)))


class ChunkMemory:
    """Searches texts chunk by chunk, and only those chunks that it does not remember."""

    def __init__(self, find: Callable[[str], tuple[Numbers, Numbers]]) -> None:
        """`find` returns values (n,) and character ranges (n, 2) of a text, from left to right.

        Its results for a text must be those of its chunks; no range may contain any of SPACES.
        """
        self._find = find
        self._lock = threading.Lock()
        self._known = Numbering()
        self._num_found = 0
        self._values: Numbers = np.zeros(1, np.int64)
        self._ranges: Numbers = np.zeros((1, 2), np.int64)
        # The first result of each known chunk, and the number of results.
        self._firsts: Numbers = np.zeros(1, np.int64)
        self._counts: Numbers = np.zeros(1, np.int64)

    def rows(self, texts: Sequence[str]) -> Rows:
        """Results of `find` for each text."""
        if not texts:
            return Rows(np.zeros(0, np.int64), np.zeros((0, 2), np.int64), np.zeros(0, np.int64))
        with self._lock:
            return self._rows(texts)

    def _rows(self, texts: Sequence[str]) -> Rows:
        whole = " ".join(texts)
        for space in SPACES[1:]:
            whole = whole.replace(space, " ")
        codes = codes_of(whole)
        spaces = np.flatnonzero(codes == ord(" "))
        starts, chunk_ends = np.append(0, spaces + 1), np.append(spaces, len(whole))
        numbers = self._numbers(whole, starts, chunk_ends, keys_of(codes, starts, chunk_ends))
        counts = self._counts[numbers]
        ends = np.cumsum(counts)
        places = np.repeat(self._firsts[numbers] - ends + counts, counts) + np.arange(ends[-1])
        text_starts = starts_of(texts)
        text_chunks = np.append(np.searchsorted(starts, text_starts[1:]), len(starts))
        shifts = np.repeat(starts - np.repeat(text_starts, _lengths(text_chunks)), counts)
        return Rows(self._values[places], self._ranges[places] + shifts[:, None], ends[text_chunks - 1])

    def _numbers(self, whole: str, starts: Numbers, ends: Numbers, keys: Keys) -> Numbers:
        """The number of each chunk; unknown ones are searched."""
        if len(self._known) > _MAX_CHUNKS or self._num_found > _MAX_FOUND:
            self._known, self._num_found = Numbering(), 0
        numbers = self._known.find(keys)
        unknown = np.flatnonzero(numbers < 0)
        if len(unknown):
            new, first = np.unique(keys[unknown], return_index=True)
            order = np.argsort(first)
            self._known.add(new[order])
            chosen = unknown[first[order]]
            bounds = zip(starts[chosen].tolist(), ends[chosen].tolist(), strict=True)
            self._learn([whole[start:end] for start, end in bounds])
            numbers[unknown] = self._known.find(keys[unknown])
        return numbers

    def _learn(self, chunks: list[str]) -> None:
        values, ranges = self._find(" ".join(chunks))
        starts = starts_of(chunks)
        owners = np.searchsorted(starts, ranges[:, 0], side="right") - 1
        counts = np.bincount(owners, minlength=len(chunks))
        num_found, num_known = self._num_found, len(self._known) - len(chunks)
        self._values = _put(self._values, num_found, values)
        self._ranges = _put(self._ranges, num_found, ranges - starts[owners, None])
        self._firsts = _put(self._firsts, num_known, num_found + np.cumsum(counts) - counts)
        self._counts = _put(self._counts, num_known, counts)
        self._num_found += len(values)


def starts_of(texts: Sequence[str]) -> Numbers:
    """Where each text starts if all are joined by one character."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
    return np.cumsum(lengths) - lengths


def _lengths(ends: Numbers) -> Numbers:
    lengths = ends.copy()
    lengths[1:] -= ends[:-1]
    return lengths


def _put(array: Numbers, first: int, values: Numbers) -> Numbers:
    """`array` with `values` written from `first` on; a copy twice as large if they do not fit."""
    end = first + len(values)
    if end > len(array):
        larger = np.zeros((2 * end, *array.shape[1:]), np.int64)
        larger[:first] = array[:first]
        array = larger
    array[first:end] = values
    return array
