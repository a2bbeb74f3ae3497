"""Finding passages by vectors and by words at once.

Axes: B questions, K passages found, U passages that either found.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from openrealm.corpus.corpus import Corpus
from openrealm.index.bm25 import Bm25
from openrealm.index.index import Index
from openrealm.model.answering import Answering
from openrealm.model.realm import Realm
from openrealm.train.spans import DenseFinder, TokenizedQuestion, question_vectors

_MIN_SEARCHED = 50


class FusedFinder(DenseFinder):
    """Finds passages by v * f(x,z) + w * BM25(x,z) / max BM25(x,·), among the best of the index and of BM25."""

    def __init__(self, index: Index, bm25: Bm25, answering: Answering, *, vector_weight: float = 1.0) -> None:
        """Search `index` and `bm25`, of the same corpus, with the weights of `answering`.

        vector_weight  v; 0 finds passages by their words alone, as a `bm25_weight` of 0 does by their vectors
        """
        super().__init__(index)
        self.bm25, self.answering, self.vector_weight = bm25, answering, vector_weight

    def restricted(self, is_allowed_N: npt.NDArray[np.bool_]) -> FusedFinder:
        """The same finder, which finds only the passages that are allowed."""
        index, bm25 = self.index.restricted(is_allowed_N), self.bm25.restricted(is_allowed_N)
        return FusedFinder(index, bm25, self.answering, vector_weight=self.vector_weight)

    def find(
        self, model: Realm, corpus: Corpus, questions: Sequence[TokenizedQuestion], k: int
    ) -> tuple[Tensor, Tensor]:
        """Scores, scaled by the weight of retrieval beside g(s), and passage numbers; both B x min(k, N), best first.

        The gradient reaches the query tower.
        """
        texts = [question.text for question in questions]
        query_BD = question_vectors(model, corpus, questions)
        num_searched = max(k, _MIN_SEARCHED)
        dense_BK = self.index.search(query_BD, num_searched).id_BK
        best_BK, lexical_BK = self.bm25.search(texts, num_searched)
        id_BU = torch.cat([dense_BK, torch.from_numpy(lexical_BK)], dim=1).sort(dim=1).values
        word_BU = torch.from_numpy(self.bm25.scores(texts, id_BU.numpy()) / np.maximum(best_BK[:, :1], 1e-6))
        score_BU = self.vector_weight * self.scores(query_BD, id_BU) + self.answering.bm25_weight * word_BU.to(
            query_BD.device
        )
        is_again_BU = torch.nn.functional.pad(id_BU[:, 1:] == id_BU[:, :-1], (1, 0))
        score_BU = score_BU.masked_fill(is_again_BU.to(score_BU.device), -torch.inf)
        score_BK, place_BK = score_BU.topk(min(k, dense_BK.shape[1]), dim=1)
        return self.answering.retrieval_weight * score_BK, id_BU.gather(1, place_BK.cpu())
