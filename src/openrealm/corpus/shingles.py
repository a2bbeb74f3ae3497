"""Word shingles of many texts as hashes, and which passages share them: numpy throughout, one slice at a time."""

from __future__ import annotations

import re
import unicodedata
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.uint32]
Progress = Callable[[int], None]

SHINGLE_WORDS = 5
RARE_PASSAGES = 10
# Number of neighbours that a passage is compared with per shingle. A shingle that thousands share belongs to a
# template, whose passages find each other through their neighbours.
REACH = 8

NUM_SLICES = 16
_SLICE_SHIFT = np.uint64(60)
_CHUNK_WORDS = 1 << 20
_RARE_UNIT = 1 << 16
_LOW = np.uint64(0xFFFF_FFFF)
_HALF = np.uint64(32)
# Scripts written without spaces: each character counts as a word.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


def words(text: str) -> list[str]:
    """The words that passages are compared by: runs of letters and digits, NFKC and case folded."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


@dataclass(frozen=True, slots=True)
class HashedWords:
    """The words of N texts as 32-bit hashes, concatenated; text n ends at `end_N[n]`."""

    hash: Numbers
    end_N: Ids

    @staticmethod
    def of(texts: Iterable[str], progress: Progress) -> HashedWords:
        """Hash the words of each text, read once; `progress` is called for every thousand texts and for the rest."""
        hashes, ends = array("I"), array("q")
        for text in texts:
            hashes.extend(zlib.crc32(word.encode("utf-8", "replace")) for word in words(text))
            ends.append(len(hashes))
            if len(ends) % 1000 == 0:
                progress(1000)
        progress(len(ends) % 1000)
        return HashedWords(np.asarray(hashes, dtype=np.uint32), np.asarray(ends, dtype=np.int64))

    def shingles(self, number: int) -> tuple[Hashes, Numbers]:
        """Slice `number` of the distinct shingles of all texts: hashes, ascending, and the text number of each.

        Every shingle of every text is in exactly one of NUM_SLICES slices; equal shingles are in the same slice.
        """
        parts = [_chunk(self.hash, self.end_N, first, last, number) for first, last in self._chunks()]
        hash_S = np.concatenate([np.zeros(0, dtype=np.uint64), *(h for h, _ in parts)])
        text_S = np.concatenate([np.zeros(0, dtype=np.uint32), *(t for _, t in parts)])
        order = np.argsort(hash_S, kind="stable")  # texts keep their order
        hash_S, text_S = hash_S[order], text_S[order]
        is_new = np.ones(len(hash_S), dtype=bool)
        is_new[1:] = (hash_S[1:] != hash_S[:-1]) | (text_S[1:] != text_S[:-1])
        return hash_S[is_new], text_S[is_new]

    def _chunks(self) -> Iterator[tuple[int, int]]:
        """Ranges of texts of about _CHUNK_WORDS words."""
        first = 0
        while first < len(self.end_N):
            begin = self.end_N[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(self.end_N, begin + _CHUNK_WORDS, side="right")))
            yield first, last
            first = last


def _chunk(hashes: Numbers, end_N: Ids, first: int, last: int, number: int) -> tuple[Hashes, Numbers]:
    """The shingles of texts first .. last - 1 whose hashes fall into the slice."""
    begin, end = int(end_N[first - 1]) if first else 0, int(end_N[last - 1])
    num_shingles = end - begin - SHINGLE_WORDS + 1
    if num_shingles <= 0:
        return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.uint32)
    word = _mixed(hashes[begin:end].astype(np.uint64) + np.uint64(1))
    hash_S = np.zeros(num_shingles, dtype=np.uint64)
    for offset in range(SHINGLE_WORDS):
        hash_S = hash_S * np.uint64(0x9E37_79B9_7F4A_7C15) + word[offset : offset + num_shingles]
    hash_S = _mixed(hash_S)
    length_n = np.diff(end_N[first:last], prepend=begin)
    text = np.repeat(np.arange(first, last, dtype=np.uint32), length_n)
    is_ours = (hash_S >> _SLICE_SHIFT == number) & (text[:num_shingles] == text[SHINGLE_WORDS - 1 :])
    return hash_S[is_ours], text[:num_shingles][is_ours]


def _mixed(value: Hashes) -> Hashes:
    """A bijective mix of 64 bits: each output bit depends on all input bits (the finaliser of MurmurHash3)."""
    value = value ^ (value >> np.uint64(33))
    value *= np.uint64(0xFF51_AFD7_ED55_8CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CE_B9FE_1A85_EC53)
    return value ^ (value >> np.uint64(33))


@dataclass(frozen=True, slots=True)
class Shared:
    """Pairs of texts that share a shingle, in order: the shingles shared, and how many of those hardly any text has.

    `size_N` counts the distinct shingles of each text.
    """

    one: Ids
    other: Ids
    num_shared: Ids
    num_rare: Ids
    size_N: Ids

    @property
    def share(self) -> npt.NDArray[np.float64]:
        """Of each pair, the share of the shorter one's shingles that both have."""
        shorter = np.minimum(self.size_N[self.one], self.size_N[self.other])
        return np.asarray(self.num_shared / shorter, dtype=np.float64)


def shared_shingles(hashed: HashedWords, progress: Progress, *, num_first: int | None = None) -> Shared:
    """All pairs that share a shingle, each text paired with at most REACH others per shingle.

    num_first  pair only the first `num_first` texts (Z) with the others (X), not texts of one side with each other
    progress   gets numbers that add up to N
    """
    num_texts = len(hashed.end_N)
    size_N = np.zeros(num_texts, dtype=np.int64)
    pair, weight = np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.uint32)
    for number in range(NUM_SLICES):
        hash_S, text_S = hashed.shingles(number)
        size_N += np.bincount(text_S, minlength=num_texts)
        more, more_weight = _pairs(hash_S, text_S, num_first)
        pair, weight = _summed(np.concatenate([pair, more]), np.concatenate([weight, more_weight]))
        progress(num_texts * (number + 1) // NUM_SLICES - num_texts * number // NUM_SLICES)
    one, other = (pair >> _HALF).astype(np.int64), (pair & _LOW).astype(np.int64)
    return Shared(one, other, (weight % _RARE_UNIT).astype(np.int64), (weight // _RARE_UNIT).astype(np.int64), size_N)


def _pairs(hash_S: Hashes, text_S: Numbers, num_first: int | None) -> tuple[Hashes, Numbers]:
    """Pairs of texts, the smaller number in the upper half, once per shared shingle, and the weight of each."""
    is_start = np.ones(len(hash_S), dtype=bool)
    is_start[1:] = hash_S[1:] != hash_S[:-1]
    run_S = np.cumsum(is_start) - 1
    num_texts_R = np.bincount(run_S) if len(run_S) else np.zeros(0, dtype=np.int64)
    weight_S = np.where(num_texts_R <= RARE_PASSAGES, 1 + _RARE_UNIT, 1).astype(np.uint32)[run_S]
    text = text_S.astype(np.uint64)
    pairs, weights = [], []
    if num_first is None:
        for gap in range(1, REACH + 1):
            is_pair = run_S[gap:] == run_S[:-gap]
            pairs.append(text[:-gap][is_pair] << _HALF | text[gap:][is_pair])
            weights.append(weight_S[gap:][is_pair])
    else:
        # Texts are sorted within a run, so Z comes before X: each X meets the last REACH of Z.
        is_x = text_S >= num_first
        first_R = np.flatnonzero(is_start)
        num_z_R = num_texts_R - np.bincount(run_S[is_x], minlength=len(num_texts_R))
        for back in range(1, REACH + 1):
            x = np.flatnonzero(is_x & (num_z_R[run_S] >= back)) if len(run_S) else np.zeros(0, dtype=np.int64)
            z = (first_R + num_z_R - back)[run_S[x]]
            pairs.append(text[z] << _HALF | text[x])
            weights.append(weight_S[x])
    return np.concatenate(pairs), np.concatenate(weights)


def _summed(pair: Hashes, weight: Numbers) -> tuple[Hashes, Numbers]:
    """Each distinct pair, sorted, with the sum of its weights."""
    order = np.argsort(pair, kind="stable")
    pair = pair[order]
    starts = np.flatnonzero(np.append(True, pair[1:] != pair[:-1])) if len(pair) else np.zeros(0, dtype=np.int64)
    return pair[starts], np.add.reduceat(weight[order], starts) if len(pair) else weight
