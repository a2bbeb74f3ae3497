"""Names that recur: where they stand in a corpus, as posting lists in flat arrays."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from openrealm.corpus.corpus import Corpus
from openrealm.corpus.tagger import KINDS

Ints = npt.NDArray[np.int64]


class RecurringSpans:
    """The salient spans that occur, as the same word pieces, in several passages; near-duplicates count as one.

    passages  numbers of the passages that contain such a span, ascending
    """

    def __init__(self, corpus: Corpus, *, kinds: Collection[str], max_passages: int) -> None:
        """Index the spans of these kinds that occur in 2 to `max_passages` groups of near-duplicates.

        Two different spans count as the same with a probability of about 10^-7 in a million (`text.numbering`).
        """
        keys, passage_M, span_M = corpus.span_keys()
        is_wanted_M = np.isin(span_M[:, 2], [KINDS.index(kind) for kind in kinds])
        passage_M, bounds_M = passage_M[is_wanted_M].astype(np.int64), span_M[is_wanted_M, :2].astype(np.int64)
        _, name_M = np.unique(keys[is_wanted_M], return_inverse=True)
        self._group_N = corpus.groups
        group_M = self._group_N[passage_M]
        order = np.lexsort((passage_M, group_M, name_M))
        is_first = np.ones(len(order), np.bool_)
        is_first[1:] = (np.diff(name_M[order]) != 0) | (np.diff(group_M[order].astype(np.int64)) != 0)
        posted = order[is_first]  # by name, one passage of each group
        count_S = np.bincount(name_M[posted])
        recurs_S = (count_S >= 2) & (count_S <= max_passages)
        self._posting = passage_M[posted]
        self._posting_ends = np.cumsum(count_S)
        recurs_M = recurs_S[name_M] if len(name_M) else np.zeros(0, np.bool_)
        self._bounds, self._name = bounds_M[recurs_M], name_M[recurs_M]
        self.passages, first = np.unique(passage_M[recurs_M], return_index=True)
        self._first = np.append(first, len(self._name))

    def occurrences(self, passage: int) -> tuple[Ints, Ints]:
        """The recurring spans of one of `passages`: (n, 2) half-open ranges of body tokens, and (n,) numbers."""
        place = int(np.searchsorted(self.passages, passage))
        here = slice(int(self._first[place]), int(self._first[place + 1]))
        return self._bounds[here], self._name[here]

    def elsewhere(self, span: int, passage: int) -> Ints:
        """Passages, one of each group, with the span of this number, outside the group of `passage`; at least one."""
        end = int(self._posting_ends[span])
        held = self._posting[int(self._posting_ends[span - 1]) if span else 0 : end]
        others: Ints = held[self._group_N[held] != self._group_N[passage]]
        return others
