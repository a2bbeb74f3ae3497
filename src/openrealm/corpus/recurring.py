"""Names that recur: where they stand in a corpus, by its posting lists."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from openrealm.corpus.corpus import Corpus

Ints = npt.NDArray[np.int64]


class RecurringSpans:
    """The names that occur in several passages; near-duplicates count as one.

    passages  numbers of the passages that contain such a name, ascending
    """

    def __init__(self, corpus: Corpus, *, kinds: Collection[str], max_passages: int) -> None:
        """Choose the names of these kinds that occur in 2 to `max_passages` groups of near-duplicates."""
        self._corpus, self._names = corpus, corpus.names
        self._chosen = self._names.choose(kinds=kinds, min_passages=2, max_passages=max_passages)
        self.passages = self._names.passages_with(self._chosen)

    def occurrences(self, passage: int) -> tuple[Ints, Ints]:
        """The recurring names in one of `passages`: (n, 2) half-open ranges of body tokens, and (n,) numbers."""
        chosen = self._names.is_chosen(passage, self._chosen)
        bounds = self._corpus.span_rows(passage)[chosen, :2].astype(np.int64)
        return bounds, self._names.of(passage)[chosen].astype(np.int64)

    def elsewhere(self, name: int, passage: int) -> Ints:
        """Passages, one of each group, with the name of this number, outside the group of `passage`; at least one."""
        held = self._names.postings[name].astype(np.int64)
        others: Ints = held[self._corpus.groups[held] != self._corpus.group(passage)]
        return others
