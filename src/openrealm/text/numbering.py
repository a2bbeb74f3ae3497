"""A number for every distinct stretch of text, found for many stretches at once by 64-bit hashes instead of strings.

Two different stretches are taken for one where their hashes agree, which happens once in some 10^7 sets of a million.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
Codes = npt.NDArray[np.uint32]

# A stretch's hash is a polynomial of its characters. Differences of running sums give it, so that every character is
# looked at once; they are taken in windows, which bounds memory.
_BASE = 0x9E37_79B9_7F4A_7C15
_WINDOW = 1 << 16
_POWERS = np.multiply.accumulate(np.full(2 * _WINDOW, _BASE, np.uint64))
_INVERSES = np.multiply.accumulate(np.full(2 * _WINDOW, pow(_BASE, -1, 1 << 64), np.uint64))
# Above this length there are texts made up so that every such polynomial agrees; Python's own hash is taken then.
_MAX_POLYNOMIAL = 256
_FEWEST_SLOTS = 1 << 12
_ALL_BITS = (1 << 64) - 1


def codes_of(text: str) -> Codes:
    """The number of each character of `text`."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def keys_of(codes: Codes, starts: Numbers, ends: Numbers) -> Keys:
    """A hash, never 0, of each stretch [start, end) of a text; stretches stand in order and do not overlap."""
    keys = np.zeros(len(starts), np.uint64)
    windows = np.searchsorted(starts, np.arange(0, len(codes) + 1, _WINDOW)).tolist()
    for first, last in pairwise([*windows, len(starts)]):
        if first == last:
            continue
        low = int(starts[first])
        here = codes[low : min(int(ends[last - 1]), low + len(_POWERS))]
        sums = np.zeros(len(_POWERS) + 1, np.uint64)
        np.cumsum(here * _POWERS[: len(here)], out=sums[1 : len(here) + 1])
        begin, end = starts[first:last] - low, np.minimum(ends[first:last] - low, len(_POWERS))
        keys[first:last] = (sums[end] - sums[begin]) * _INVERSES[begin]
    lengths = ends - starts
    keys += lengths.astype(np.uint64)
    keys = (keys ^ (keys >> np.uint64(29))) * np.uint64(_BASE)
    for i in np.flatnonzero(lengths > _MAX_POLYNOMIAL).tolist():
        keys[i] = hash(codes[starts[i] : ends[i]].tobytes()) & _ALL_BITS
    return keys | np.uint64(1)


class Numbering:
    """Numbers keys in the order in which they are added: a hash table of two arrays, half of it empty."""

    def __init__(self) -> None:
        self._keys: Keys = np.zeros(_FEWEST_SLOTS, np.uint64)
        self._numbers: npt.NDArray[np.int32] = np.zeros(_FEWEST_SLOTS, np.int32)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, keys: Keys) -> Numbers:
        """The number of each key, -1 where it was not added."""
        slots = self._slots(keys)
        numbers = np.full(len(keys), -1, np.int64)
        left = np.arange(len(keys))
        while len(left):
            held = self._keys[slots]
            is_it = held == keys[left]
            numbers[left[is_it]] = self._numbers[slots[is_it]]
            goes_on = ~is_it & (held != 0)
            left, slots = left[goes_on], (slots[goes_on] + 1) & (len(self._keys) - 1)
        return numbers

    def add(self, keys: Keys) -> None:
        """Number keys, distinct and not yet added."""
        numbers = np.arange(self._count, self._count + len(keys), dtype=np.int32)
        self._count += len(keys)
        if 2 * self._count > len(self._keys):
            is_used = self._keys != 0
            keys, numbers = np.append(self._keys[is_used], keys), np.append(self._numbers[is_used], numbers)
            size = 1 << (4 * self._count).bit_length()
            self._keys, self._numbers = np.zeros(size, np.uint64), np.zeros(size, np.int32)
        slots = self._slots(keys)
        while len(keys):
            taken, first = np.unique(slots, return_index=True)
            first = first[self._keys[taken] == 0]
            self._keys[slots[first]], self._numbers[slots[first]] = keys[first], numbers[first]
            is_left = np.ones(len(keys), np.bool_)
            is_left[first] = False
            keys, numbers, slots = keys[is_left], numbers[is_left], slots[is_left]
            slots = (slots + 1) & (len(self._keys) - 1)

    def _slots(self, keys: Keys) -> Numbers:
        """Where each key belongs: its highest bits."""
        num_bits = len(self._keys).bit_length() - 1
        return (keys >> np.uint64(64 - num_bits)).astype(np.int64)
