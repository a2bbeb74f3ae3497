"""The names of a corpus: salient spans with the same word pieces and kind share a number, and a list of passages."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt

from openrealm.corpus.layout import NO_NAME
from openrealm.corpus.postings import Postings
from openrealm.corpus.ragged import IntArray, Ragged, any_in_rows, open_flat
from openrealm.corpus.tagger import KINDS
from openrealm.errors import DamagedArtefact

Chosen = npt.NDArray[np.bool_]
"""(S,) whether each name is chosen."""

_AT_ONCE = 1 << 18  # passages, which bounds the memory that going through all of them takes


class Names:
    """S names, numbered by their keys. A list has the first passage with the name of each group of near-duplicates.

    The spans of sentences that are too short to be queries are no names (`layout.MIN_SENTENCE_TOKENS`).
    """

    def __init__(self, folder: Path, spans: Ragged) -> None:
        """Open the names of a corpus whose spans are `spans`. Raises DamagedArtefact if the files do not fit."""
        self.postings = Postings(folder, "names", "name_passages")
        self._folder, self._spans = folder, spans
        self._sizes = open_flat(folder / "name_sizes.bin", "u2", 2)
        self._numbers = open_flat(folder / "span_names.bin", "u4")
        for name, values, expected in (("name_sizes", self._sizes, len(self)), ("span_names", self._numbers, None)):
            if len(values) != (len(spans.values) if expected is None else expected):
                raise DamagedArtefact(f"{folder / name}.bin has {len(values):,} rows; rebuild {folder}.")

    def __len__(self) -> int:
        return len(self.postings)

    def check(self) -> None:
        """Raise DamagedArtefact if a span has a name that does not exist."""
        for first in range(0, len(self._numbers), _AT_ONCE):
            numbers = self._numbers[first : first + _AT_ONCE]
            if bool(((numbers >= len(self)) & (numbers != NO_NAME)).any()):
                raise DamagedArtefact(
                    f"{self._folder / 'span_names.bin'} is damaged (it holds a number that is not one of "
                    f"{len(self):,} names); rebuild the corpus."
                )

    def choose(
        self,
        *,
        kinds: Collection[str],
        max_tokens: int | None = None,
        min_passages: int = 1,
        max_passages: int | None = None,
    ) -> Chosen:
        """Which names are of these kinds, short enough, and in so many passages; near-duplicates count as one."""
        chosen = np.isin(self._sizes[:, 1], [KINDS.index(kind) for kind in kinds])
        if max_tokens is not None:
            chosen &= self._sizes[:, 0] <= max_tokens
        if min_passages > 1 or max_passages is not None:
            num_passages = self.postings.lengths()
            chosen &= num_passages >= min_passages
            if max_passages is not None:
                chosen &= num_passages <= max_passages
        return chosen

    def same_in(self, other: Names, chosen: Chosen) -> Chosen:
        """Which names of this corpus are among the names `chosen` of another one with the same tokenizer."""
        found = other.postings.find(self.postings.keys)
        return np.asarray((found >= 0) & chosen[found]) if len(other) else np.zeros(len(self), np.bool_)

    def of(self, passage: int) -> IntArray:
        """The number of the name of each span of a passage; NO_NAME where it has none."""
        return self._numbers[self._spans.bounds(passage)]

    def is_chosen(self, passage: int, chosen: Chosen) -> Chosen:
        """Whether each span of a passage has a chosen name."""
        return _lookup(chosen, self.of(passage))

    def passages_with(self, chosen: Chosen) -> IntArray:
        """The passages with a span whose name is chosen, ascending."""
        found = [np.zeros(0, np.uint32)]
        for first in range(0, len(self._spans), _AT_ONCE):
            entries, lengths = self._spans.entries(slice(first, first + _AT_ONCE))
            has_one = any_in_rows(_lookup(chosen, self._numbers[entries]), lengths)
            found.append((first + np.flatnonzero(has_one)).astype(np.uint32))
        return np.concatenate(found)


def _lookup(chosen: Chosen, numbers: IntArray) -> Chosen:
    if not len(chosen):
        return np.zeros(len(numbers), np.bool_)
    is_name = numbers != NO_NAME
    return np.asarray(is_name & chosen[np.where(is_name, numbers, 0)])
