"""BM25 over titles and bodies (bm25s): the word-matching retriever that the learned one is compared with."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from openrealm.corpus.corpus import Corpus

_WORD = re.compile(r"\w+")
# Below this many passages numpy answers a thousand queries a second, and numba's six seconds of compiling do not pay;
# at 400,000 it answers 53 a second, numba 1,600. Both give the same scores; equal ones may come in another order.
_FEWEST_FOR_NUMBA = 100_000


def words(text: str) -> list[str]:
    """Lower-cased words; no stop list, so that queries of short words still match."""
    return _WORD.findall(text.lower())


class Bm25:
    """BM25 with the usual k1 = 1.5 and b = 0.75 (Lucene's variant, bm25s's default).

    >>> bm25 = Bm25(["the old mill", "a library in the mill", "rain"])
    >>> scores, passages = bm25.search(["Where is the library?"], 1)
    >>> passages.tolist()
    [[1]]
    """

    def __init__(self, texts: Sequence[str]) -> None:
        """Index `texts`; text number i is passage i."""
        import bm25s

        self._index = bm25s.BM25(backend="numba" if len(texts) >= _FEWEST_FOR_NUMBA else "numpy")
        self._index.index([words(text) for text in texts], show_progress=False)
        self._num_passages = len(texts)

    @classmethod
    def build(cls, corpus: Corpus) -> Bm25:
        """Index the title and body of every passage."""
        passages = (corpus.passage(i) for i in range(corpus.num_passages))
        return cls([f"{passage.title} {passage.text}" for passage in passages])

    def search(self, queries: Sequence[str], k: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Scores and passage numbers, both B x min(k, N), best first."""
        k = min(k, self._num_passages)
        found = self._index.retrieve([words(query) for query in queries], k=k, show_progress=False)
        return np.asarray(found.scores, dtype=np.float32), np.asarray(found.documents, dtype=np.int64)
