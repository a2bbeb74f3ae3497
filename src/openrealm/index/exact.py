"""Exact maximum inner product search by a matrix product and top-k; ties go to the smaller passage number."""

from __future__ import annotations

import torch
from torch import Tensor


class ExactSearcher:
    """The searcher "exact": compares a query with every vector.

    >>> import torch
    >>> searcher = ExactSearcher(torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 0.0]]))
    >>> score_BK, id_BK = searcher.search(torch.tensor([[1.0, 0.0]]), 2)
    >>> score_BK.tolist(), id_BK.tolist()
    ([[1.0, 1.0]], [[0, 2]])
    """

    def __init__(self, vector_ND: Tensor) -> None:
        """`vector_ND`: passage vectors in float32."""
        self._vector_ND = vector_ND

    def search(self, query_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k passages with the largest inner product for each query.

        Returns scores and passage numbers, both B x min(k, N), best first, equal scores in passage order.
        """
        num_passages = self._vector_ND.shape[0]
        k = min(k, num_passages)
        score_BN = query_BD @ self._vector_ND.T
        # One extra result shows at no cost whether a tie with the last result was cut off.
        score_BK, id_BK = torch.topk(score_BN, min(k + 1, num_passages), dim=1, sorted=True)
        tied_B = score_BK[:, k - 1 : k] == score_BK[:, k:]
        score_BK, id_BK = score_BK[:, :k], id_BK[:, :k]
        _resolve_ties(score_BN, score_BK, id_BK, tied_B.any(dim=1))
        by_id = id_BK.argsort(dim=1, stable=True)
        score_BK, id_BK = score_BK.gather(1, by_id), id_BK.gather(1, by_id)
        by_score = score_BK.argsort(dim=1, descending=True, stable=True)
        return score_BK.gather(1, by_score), id_BK.gather(1, by_score)


def _resolve_ties(score_BN: Tensor, score_BK: Tensor, id_BK: Tensor, tied_B: Tensor) -> None:
    """Of the passages that tie with the last of the top K, keep those with the smallest numbers, in place.

    torch.topk keeps arbitrary ones. `tied_B` marks the queries in which a tie was cut off.
    """
    last_B1 = score_BK[:, -1:]
    for row in tied_B.nonzero()[:, 0].tolist():
        is_last_K = score_BK[row] == last_B1[row]
        tied = (score_BN[row] == last_B1[row]).nonzero()[:, 0]
        id_BK[row, is_last_K] = tied[: int(is_last_K.sum())]
