"""Exact maximum inner product search, block by block; ties go to the smaller passage number.

Axes: B queries, K results, N passages, n passages of a block, D projection.
"""

from __future__ import annotations

import torch
from torch import Tensor

from openrealm.index.searcher import Best, inner_products, pairs_above

_QUERIES_AT_ONCE = 256
# On a CPU so that a block in float32 fits into its cache, on a GPU so that few steps are needed.
_NUMBERS_AT_ONCE = {"cpu": 1 << 21, "cuda": 1 << 25}
_MAX_ROWS = 1 << 16
_ROUNDING = 2.0**-23  # twice the unit of float32


class ExactSearcher:
    """The searcher "exact": compares a query with every vector.

    The result is the same, to the last bit, for any size of batch and block and for any division into shards: a matrix
    product only finds the passages that may be among the best within its rounding error (D units of float32, relative
    to the norms of query and passage), and `inner_products` scores those.

    >>> import torch
    >>> searcher = ExactSearcher(torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 0.0]]))
    >>> score_BK, id_BK = searcher.search(torch.tensor([[1.0, 0.0]]), 2)
    >>> score_BK.tolist(), id_BK.tolist()
    ([[1.0, 1.0]], [[0, 2]])
    """

    def __init__(self, vector_ND: Tensor, *, block_rows: int | None = None) -> None:
        """Search `vector_ND`, in float32 or float16, `block_rows` at a time; None chooses a number."""
        self._vector_ND, self._block_rows = vector_ND, block_rows
        self._longest: dict[tuple[int, int], Tensor] = {}

    def search(self, query_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k passages with the largest inner product for each query.

        Returns scores and passage numbers, both B x min(k, N), best first, equal scores in passage order.
        """
        with torch.autocast(query_BD.device.type, enabled=False):  # would multiply in bf16
            found = [self._search(part_bD, k) for part_bD in query_BD.split(_QUERIES_AT_ONCE)]  # type: ignore[no-untyped-call]
        scores, ids = zip(*found, strict=True)
        return torch.cat(scores), torch.cat(ids)

    def _search(self, query_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        best = Best(len(query_BD), k, torch.float32, query_BD.device)
        norm_B1 = query_BD.norm(dim=1, keepdim=True)
        num_passages = len(self._vector_ND)
        block_rows = self._block_rows or self._suitable_rows(k)
        for first in range(0, num_passages, block_rows):
            vector_nD = self._vector_ND[first : first + block_rows].float()
            error_B1 = _ROUNDING * vector_nD.shape[1] * self._longest_in(first, vector_nD) * norm_B1
            score_Bn = query_BD @ vector_nD.T
            floor_B1 = best.floor_B1 - error_B1
            if not best.is_full:
                # k passages of the block score at least this much, less the error; so do all that are better.
                last_B1 = score_Bn.topk(min(k, score_Bn.shape[1])).values[:, -1:]
                floor_B1 = torch.maximum(floor_B1, last_B1 - 2 * error_B1)
            for query_P, row_P in pairs_above(score_Bn, floor_B1):
                best.offer(query_P, inner_products(query_BD, query_P, vector_nD, row_P), first + row_P)
        return best.results(min(k, num_passages))

    def _suitable_rows(self, k: int) -> int:
        numbers = _NUMBERS_AT_ONCE.get(self._vector_ND.device.type, _NUMBERS_AT_ONCE["cuda"])
        # With many results, small blocks would have many passages that are among the best for a while only.
        return max(numbers // max(1, self._vector_ND.shape[1]), min(8 * k, _MAX_ROWS))

    def _longest_in(self, first: int, vector_nD: Tensor) -> Tensor:
        """The largest norm in a block."""
        block = first, len(vector_nD)
        if block not in self._longest:
            self._longest[block] = vector_nD.norm(dim=1).max()
        return self._longest[block]
