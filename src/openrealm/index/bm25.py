"""BM25 over titles and bodies, by bm25s: the lexical baseline of the learned retriever."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from openrealm.corpus.corpus import Corpus
from openrealm.corpus.inverted import bm25_scores
from openrealm.text.numbering import Keys
from openrealm.text.words import word_keys, words

# Passages times queries of one call. Of 400,000 passages numba answers 1,600 queries per second and numpy some
# hundreds, so that numba's six seconds of compilation pay off for many questions at once. Scores are the same; the
# order of ties may differ.
_MIN_FOR_NUMBA = 400_000_000


class _Columns(Mapping[str, int]):
    """The column of each word in the matrix of scores, found by the word's key instead of a dictionary in memory."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def __getitem__(self, word: str) -> int:
        key = word_keys([word])[0]
        place = int(np.searchsorted(self._keys, key)[0])
        if place == len(self._keys) or self._keys[place] != key[0]:
            raise KeyError(word)
        return place

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError("words are known by their keys only")

    def __len__(self) -> int:
        return len(self._keys)


class Bm25:
    """BM25 with the usual k1 = 1.5 and b = 0.75, in Lucene's variant (the default of bm25s).

    >>> bm25 = Bm25(["the old mill", "a library in the mill", "rain"])
    >>> scores, passages = bm25.search(["Where is the library?"], 1)
    >>> passages.tolist()
    [[1]]
    """

    def __init__(self, texts: Sequence[str]) -> None:
        """Index `texts`; text i is passage i."""
        key_M, num_words_N = word_keys(texts)
        number_M = np.repeat(np.arange(len(texts)), num_words_N)
        order = np.lexsort((number_M, key_M))
        keys, place_M = np.unique(key_M[order], return_inverse=True)
        # Occurrences of a word in a text are counted by numbering the pairs of both.
        pair, count = np.unique(place_M * max(1, len(texts)) + number_M[order], return_counts=True)
        place, number = np.divmod(pair, max(1, len(texts)))
        lengths = np.bincount(place, minlength=len(keys))
        mean = float(num_words_N.mean()) if len(texts) else 0.0
        scores = bm25_scores(count, lengths, num_words_N[number], len(texts), mean)
        self._open(keys, np.cumsum(lengths), number.astype(np.int32), scores, len(texts))

    @classmethod
    def build(cls, corpus: Corpus) -> Bm25:
        """Open the index of the title and body of every passage, which is stored with the corpus, memory-mapped."""
        bm25 = cls.__new__(cls)
        words = corpus.words
        bm25._open(
            words.keys, words.lists.ends, words.lists.values.view(np.int32), corpus.word_scores, corpus.num_passages
        )
        return bm25

    def _open(
        self,
        keys: Keys,
        ends: npt.NDArray[np.integer],
        numbers: npt.NDArray[np.int32],
        scores: npt.NDArray[np.float32],
        num_passages: int,
    ) -> None:
        import bm25s

        self._index = bm25s.BM25()
        self._index.vocab_dict = _Columns(keys)
        self._index.nonoccurrence_array = None
        self._index.scores = {
            "data": scores,
            "indices": numbers,
            "indptr": np.concatenate([[0], ends]).astype(np.int64),
            "num_docs": num_passages,
        }
        self._num_passages = num_passages
        self._excluded: npt.NDArray[np.int64] = np.zeros(0, np.int64)

    def restricted(self, is_allowed_N: npt.NDArray[np.bool_]) -> Bm25:
        """The same index, which finds only some passages; scores are those among all.

        >>> bm25 = Bm25(["the old mill", "a library in the mill", "rain"])
        >>> bm25.restricted(np.array([True, False, True])).search(["mill"], 3)[1].tolist()
        [[0, 2]]
        """
        restricted = copy.copy(self)
        restricted._excluded = np.flatnonzero(~is_allowed_N)
        return restricted

    def search(self, queries: Sequence[str], k: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Scores and passage numbers, both B x min(k, N), best first."""
        from bm25s.selection import topk

        k = min(k, self._num_passages - len(self._excluded))
        asked = [words(query) for query in queries]
        if self._num_passages * len(queries) >= _MIN_FOR_NUMBA and not len(self._excluded):
            self._index.backend = "numba"
            found = self._index.retrieve(asked, k=k, show_progress=False)
            return np.asarray(found.scores, dtype=np.float32), np.asarray(found.documents, dtype=np.int64)
        pairs = [topk(self._scores(query), k, backend="numpy") for query in asked]
        scores, numbers = zip(*pairs, strict=True)
        return np.stack(scores).astype(np.float32), np.stack(numbers).astype(np.int64)

    def _scores(self, query: Sequence[str]) -> npt.NDArray[np.float32]:
        """The score of every passage, as bm25s computes it; below 0 where it must not be found."""
        held = self._index.scores
        score_N = np.zeros(self._num_passages, np.float32)
        for column in self._index.get_tokens_ids(query):
            here = slice(int(held["indptr"][column]), int(held["indptr"][column + 1]))
            score_N[held["indices"][here]] += held["data"][here]  # no passage is twice in a list
        score_N[self._excluded] = -1
        return score_N

    def scores(self, queries: Sequence[str], number_BK: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Scores of the passages `number_BK`, B x K."""
        rows = [self._scores(words(query)) for query in queries]
        return np.stack([row[numbers] for row, numbers in zip(rows, number_BK, strict=True)]).astype(np.float32)
