"""BM25 over titles and bodies, by bm25s: the lexical baseline of the learned retriever."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from openrealm.corpus.corpus import Corpus

_WORD = re.compile(r"\w+")
# With fewer passages numpy answers a thousand queries per second, so that numba's six seconds of compilation do not pay
# off; with 400,000 it answers 53 per second, and numba 1,600. Scores are the same; the order of ties may differ.
_MIN_PASSAGES_FOR_NUMBA = 100_000


def words(text: str) -> list[str]:
    """The words of `text` in lower case, including stop words, so that queries of short words match too."""
    return _WORD.findall(text.lower())


class Bm25:
    """BM25 with the usual k1 = 1.5 and b = 0.75, in Lucene's variant (the default of bm25s).

    >>> bm25 = Bm25(["the old mill", "a library in the mill", "rain"])
    >>> scores, passages = bm25.search(["Where is the library?"], 1)
    >>> passages.tolist()
    [[1]]
    """

    def __init__(self, texts: Sequence[str]) -> None:
        """Index `texts`; text i is passage i."""
        import bm25s

        self._index = bm25s.BM25(backend="numba" if len(texts) >= _MIN_PASSAGES_FOR_NUMBA else "numpy")
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

    def scores(self, queries: Sequence[str], number_BK: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Scores of the passages `number_BK`, B x K."""
        rows = [self._index.get_scores(words(query)) for query in queries]
        return np.stack([row[numbers] for row, numbers in zip(rows, number_BK, strict=True)]).astype(np.float32)
