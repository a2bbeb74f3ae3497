"""Search among some of the passages of an index, such as those that are valid on a day."""

from __future__ import annotations

from torch import Tensor

from openrealm.index.searcher import Searcher


class RestrictedSearcher:
    """Finds only the passages that are allowed, by any searcher: more are requested until enough of them are.

    >>> from openrealm.index.exact import ExactSearcher
    >>> searcher = ExactSearcher(torch.tensor([[1.0], [3.0], [2.0]]))
    >>> restricted = RestrictedSearcher(searcher, torch.tensor([True, False, True]))
    >>> restricted.search(torch.tensor([[1.0]]), 5)[1].tolist()
    [[2, 0]]
    """

    def __init__(self, searcher: Searcher, is_allowed_N: Tensor) -> None:
        self._searcher, self._is_allowed_N = searcher, is_allowed_N
        self._num_allowed = int(is_allowed_N.sum())

    def search(self, query_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and passage numbers, both B x min(k, number allowed), best first, ties by passage number."""
        k = min(k, self._num_allowed)
        num_passages = len(self._is_allowed_N)
        num_requested = min(num_passages, 2 * k)
        while True:
            score_BR, id_BR = self._searcher.search(query_BD, num_requested)
            is_allowed_BR = self._is_allowed_N[id_BR]
            num_found = int(is_allowed_BR.sum(dim=1).min()) if len(id_BR) else k
            if num_found >= k or num_requested == num_passages:
                place_BK = (~is_allowed_BR).byte().argsort(dim=1, stable=True)[:, : min(k, num_found)]
                return score_BR.gather(1, place_BK), id_BR.gather(1, place_BK)
            num_requested = min(num_passages, 4 * num_requested)
