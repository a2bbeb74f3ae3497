"""Text read chunk by chunk, from space to space, where what is found in a chunk does not depend on what is around it.

A chunk is looked into once and remembered: word pieces and words of a corpus are found several times faster so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from openrealm.text.numbering import Keys, Numbering, Numbers, codes_of, keys_of

# The white space that chunks end at. BERT's rules cut at it wherever it stands; of the rest, some they delete.
SPACES = " \t\n\r"

# What is remembered is forgotten all at once beyond either, so that no text needs more than some 200 MB.
_MAX_CHUNKS = 1 << 20
_MAX_FOUND = 1 << 21


@dataclass(frozen=True, slots=True)
class Rows:
    """What was found in many texts, end to end (N in all); `rows[i]` is of text i.

    values  (N,) such as token ids
    ranges  (N, 2) half-open ranges of characters of the text that each was found in
    ends    (number of texts,) where those of each text end
    """

    values: Numbers
    ranges: Numbers
    ends: Numbers

    def counts(self) -> Numbers:
        """(number of texts,) how many were found in each."""
        return _lengths(self.ends)

    def part(self, first: int, last: int) -> Rows:
        """Those of texts first .. last - 1, as views."""
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
    """Finds things in texts, chunk by chunk, asking only about chunks that it has not met lately."""

    def __init__(self, find: Callable[[str], tuple[Numbers, Numbers]]) -> None:
        """`find` gives values (n,) and character ranges (n, 2) of a text, from left to right.

        What it finds in a text has to be what it finds in each of its chunks; no range holds any of SPACES.
        """
        self._find = find
        self._lock = threading.Lock()
        self._known = Numbering()
        self._num_found = 0
        self._values: Numbers = np.zeros(1, np.int64)
        self._ranges: Numbers = np.zeros((1, 2), np.int64)
        # Of each known chunk: the first of what was found in it, and how many there are.
        self._firsts: Numbers = np.zeros(1, np.int64)
        self._counts: Numbers = np.zeros(1, np.int64)

    def rows(self, texts: Sequence[str]) -> Rows:
        """What `find` finds in each text."""
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
        """The number by which each chunk is remembered; unknown ones are looked into."""
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
    """Where each text starts when all are joined by one character."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
    return np.cumsum(lengths) - lengths


def _lengths(ends: Numbers) -> Numbers:
    lengths = ends.copy()
    lengths[1:] -= ends[:-1]
    return lengths


def _put(array: Numbers, first: int, values: Numbers) -> Numbers:
    """`array` with `values` from `first` on; a copy twice as large where they do not fit."""
    end = first + len(values)
    if end > len(array):
        larger = np.zeros((2 * end, *array.shape[1:]), np.int64)
        larger[:first] = array[:first]
        array = larger
    array[first:end] = values
    return array
