"""Many texts to tokens at once: how a chunk between two spaces is split is asked of the library once, then remembered.

BERT's rules cut at white space before they do anything else, so a chunk's tokens do not depend on what is around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]

# The white space that BERT's rules cut at wherever it stands; of the rest, some they delete.
SPACES = " \t\n\r"

# What is remembered is forgotten all at once beyond either, so that no text needs more than some 60 MB.
_MAX_CHUNKS = 1 << 18
_MAX_TOKENS = 1 << 20


@dataclass(frozen=True, slots=True)
class TokenRows:
    """The tokens of many texts, end to end; `rows[i]` are those of text i.

    ids      (N,) token ids
    offsets  (N, 2) half-open character range of each token in its own text
    ends     (number of texts,) where each text's tokens end
    """

    ids: Numbers
    offsets: Numbers
    ends: Numbers

    def __len__(self) -> int:
        return len(self.ends)

    def counts(self) -> Numbers:
        """(number of texts,) how many tokens each text has."""
        return np.diff(self.ends, prepend=0)

    def __getitem__(self, i: int) -> tuple[Numbers, Numbers]:
        """Ids (n,) and offsets (n, 2) of text i, as views."""
        start, end = (int(self.ends[i - 1]) if i else 0), int(self.ends[i])
        return self.ids[start:end], self.offsets[start:end]

    def __iter__(self) -> Iterator[tuple[Numbers, Numbers]]:
        start = 0
        for end in self.ends.tolist():
            yield self.ids[start:end], self.offsets[start:end]
            start = end


class ChunkMemory:
    """Encodes by remembered chunks; for tokenizers that cut at spaces, tabs and newlines before anything else."""

    def __init__(self, encode: Callable[[str], tuple[list[int], list[tuple[int, int]]]]) -> None:
        """`encode` gives ids and character offsets of one text, and is the truth that chunks are learnt from."""
        self._encode = encode
        self._forget()

    def rows(self, texts: Sequence[str]) -> TokenRows:
        """Tokens of well-formed `texts`, as `encode` gives them."""
        if not texts:
            return TokenRows(np.zeros(0, np.int64), np.zeros((0, 2), np.int64), np.zeros(0, np.int64))
        whole = " ".join(texts)
        for space in SPACES[1:]:
            whole = whole.replace(space, " ")
        chunks = whole.split(" ")
        numbers = self._numbers(chunks)
        counts, starts = self._counts[numbers], _starts(chunks)
        ends = np.cumsum(counts)
        num_tokens = int(ends[-1])
        places = np.repeat(self._firsts[numbers] - ends + counts, counts) + np.arange(num_tokens)
        text_starts = _starts(texts)
        text_chunks = np.append(np.searchsorted(starts, text_starts[1:]), len(starts))
        shifts = np.repeat(starts - np.repeat(text_starts, np.diff(text_chunks, prepend=0)), counts)
        return TokenRows(self._ids[places], self._offsets[places] + shifts[:, None], ends[text_chunks - 1])

    def _numbers(self, chunks: list[str]) -> Numbers:
        """The number by which each chunk is remembered; unknown ones are learnt first."""
        if len(self._known) > _MAX_CHUNKS or self._num_tokens > _MAX_TOKENS:
            self._forget()
        try:
            return np.fromiter(map(self._known.__getitem__, chunks), np.int64, len(chunks))
        except KeyError:
            self._learn([chunk for chunk in dict.fromkeys(chunks) if chunk not in self._known])
        return np.fromiter(map(self._known.__getitem__, chunks), np.int64, len(chunks))

    def _learn(self, chunks: list[str]) -> None:
        ids, offsets = self._encode(" ".join(chunks))
        starts = _starts(chunks)
        token_starts = np.array(offsets, dtype=np.int64).reshape(-1, 2)
        owners = np.searchsorted(starts, token_starts[:, 0], side="right") - 1
        counts = np.bincount(owners, minlength=len(chunks))
        first, num_known = self._num_tokens, len(self._known)
        self._num_tokens += len(ids)
        self._ids = _put(self._ids, first, np.array(ids, dtype=np.int64))
        self._offsets = _put(self._offsets, first, token_starts - starts[owners, None])
        self._firsts = _put(self._firsts, num_known, first + np.cumsum(counts) - counts)
        self._counts = _put(self._counts, num_known, counts)
        self._known.update(zip(chunks, range(num_known, num_known + len(chunks)), strict=True))

    def _forget(self) -> None:
        self._known: dict[str, int] = {}
        self._num_tokens = 0
        self._ids, self._offsets = np.zeros(1 << 12, np.int64), np.zeros((1 << 12, 2), np.int64)
        self._firsts, self._counts = np.zeros(1 << 12, np.int64), np.zeros(1 << 12, np.int64)


def _starts(texts: Sequence[str]) -> Numbers:
    """Where each text starts when all are joined by one character."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
    return np.cumsum(lengths) - lengths


def _put(array: Numbers, first: int, values: Numbers) -> Numbers:
    """`array` with `values` from `first` on; a larger copy where they do not fit."""
    end = first + len(values)
    if end > len(array):
        larger = np.zeros((max(end, 2 * len(array)), *array.shape[1:]), np.int64)
        larger[:first] = array[:first]
        array = larger
    array[first:end] = values
    return array
