"""Numbers distinct pieces of text, many at once, by 64-bit hashes instead of strings.

Two different pieces count as equal if their hashes agree, which happens in about one of 10^7 sets of a million pieces.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
Codes = npt.NDArray[np.uint32]

# A piece's hash is a polynomial of its characters, computed from differences of cumulative sums, so that each character
# is read once; windows bound the memory.
_BASE = 0x9E37_79B9_7F4A_7C15
_WINDOW = 1 << 16
_LENGTH = np.uint64(0xD6E8_FEB8_6659_FD93)
_POWERS = np.multiply.accumulate(np.full(2 * _WINDOW, _BASE, np.uint64))
_INVERSES = np.multiply.accumulate(np.full(2 * _WINDOW, pow(_BASE, -1, 1 << 64), np.uint64))
# Longer texts can be constructed so that all such polynomials agree; a cryptographic hash is used for them.
_MAX_POLYNOMIAL = 256
_MIN_SLOTS = 1 << 12


def codes_of(text: str) -> Codes:
    """Code point of each character of `text`."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def keys_of(codes: Codes, starts: Numbers, ends: Numbers) -> Keys:
    """A hash, never 0, of each piece [start, end) of a text; pieces are sorted and do not overlap.

    It is the same in every process and on every machine, so that it can be stored.
    """
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
    keys += lengths.astype(np.uint64) * _LENGTH  # tells "a\0" from "a", and from "b"
    keys = (keys ^ (keys >> np.uint64(29))) * np.uint64(_BASE)
    for i in np.flatnonzero(lengths > _MAX_POLYNOMIAL).tolist():
        digest = hashlib.blake2b(codes[starts[i] : ends[i]].tobytes(), digest_size=8)
        keys[i] = int.from_bytes(digest.digest(), "little")
    return keys | np.uint64(1)


class Numbering:
    """Numbers keys in the order in which they are added: a hash table of two arrays, at most half full."""

    def __init__(self) -> None:
        self._keys: Keys = np.zeros(_MIN_SLOTS, np.uint64)
        self._numbers: npt.NDArray[np.int32] = np.zeros(_MIN_SLOTS, np.int32)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, keys: Keys) -> Numbers:
        """The number of each key, or -1 if it was not added."""
        slots = self._slots(keys)
        numbers = np.full(len(keys), -1, np.int64)
        left = np.arange(len(keys))
        while len(left):
            held = self._keys[slots]
            is_it = held == keys[left]
            numbers[left[is_it]] = self._numbers[slots[is_it]]
            continues = ~is_it & (held != 0)
            left, slots = left[continues], (slots[continues] + 1) & (len(self._keys) - 1)
        return numbers

    def add(self, keys: Keys) -> None:
        """Number keys, which must be distinct and new."""
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
        """The slot of each key: its highest bits."""
        num_bits = len(self._keys).bit_length() - 1
        return (keys >> np.uint64(64 - num_bits)).astype(np.int64)
