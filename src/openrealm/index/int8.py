"""Search over vectors in 8 bits: all are scanned, and the best are scored again with the vectors themselves.

Axes: B queries, K results, R passages to score again, N passages, n passages of a block, D projection.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from openrealm.index.rows import StoredRows
from openrealm.index.searcher import Best, inner_products, pairs_above

_QUERIES_AT_ONCE = 256
_BLOCK_ROWS, _MOST_ROWS, _SCORES_AT_ONCE = 1 << 15, 1 << 17, 1 << 21
_LARGEST = 127
_RESCORED_PER_RESULT, _MIN_RESCORED = 4, 64


@dataclass(frozen=True, slots=True)
class Codes:
    """Vectors in 8 bits, symmetric about 0: a number of dimension d is about `code_ND[:, d] * scale_D[d]`.

    code_ND  int8, from -127 to 127
    scale_D  float32, above 0

    >>> codes = Codes.of(torch.tensor([[1.0, -0.5], [-0.5, 0.25]]))
    >>> codes.code_ND.tolist()
    [[127, -127], [-64, 64]]
    """

    code_ND: Tensor
    scale_D: Tensor

    @classmethod
    def of(cls, vector_ND: Tensor) -> Codes:
        """Round vectors in float32 or float16; the scale of a dimension is its largest absolute value over 127."""
        largest_D = torch.zeros(vector_ND.shape[1])
        for vector_nD in vector_ND.split(_BLOCK_ROWS):  # type: ignore[no-untyped-call]
            largest_D = torch.maximum(largest_D, vector_nD.abs().amax(dim=0).float())
        scale_D = torch.where(largest_D > 0, largest_D, 1.0) / _LARGEST
        code_ND = torch.empty(vector_ND.shape, dtype=torch.int8)
        blocks = zip(code_ND.split(_BLOCK_ROWS), vector_ND.split(_BLOCK_ROWS), strict=True)  # type: ignore[no-untyped-call]
        for code_nD, vector_nD in blocks:
            code_nD.copy_((vector_nD.float() / scale_D).round().clamp(-_LARGEST, _LARGEST))
        return cls(code_ND, scale_D)


class Int8Searcher:
    """The searcher "int8": a scan of all vectors in 8 bits, then exact scores of the best.

    The scan computes in whole numbers, so that its result does not depend on blocks or batches. Of four times as many
    passages as were asked for, at least 64, the scores are those of `ExactSearcher`: what can be wrong is only which
    passages are among them.

    >>> searcher = Int8Searcher(torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 0.0]]))
    >>> score_BK, id_BK = searcher.search(torch.tensor([[1.0, 0.0]]), 2)
    >>> score_BK.tolist(), id_BK.tolist()
    ([[1.0, 1.0]], [[0, 2]])
    """

    def __init__(
        self,
        vector_ND: Tensor,
        codes: Codes | None = None,
        rows: Tensor | StoredRows | None = None,
        *,
        block_rows: int | None = None,
    ) -> None:
        """Search vectors in float32 or float16.

        codes       the same in 8 bits; None computes them
        rows        where the vectors to score are taken from; None means `vector_ND`
        block_rows  how many are scanned at a time; None chooses a number
        """
        self._rows, self._block_rows = vector_ND if rows is None else rows, block_rows
        self._codes = Codes.of(vector_ND) if codes is None else codes

    def search(self, query_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and passage numbers, both B x min(k, N), best first, equal scores in passage order."""
        found = [self._search(part_bD, k) for part_bD in query_BD.split(_QUERIES_AT_ONCE)]  # type: ignore[no-untyped-call]
        scores, ids = zip(*found, strict=True)
        return torch.cat(scores), torch.cat(ids)

    def _search(self, query_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        num_passages = len(self._codes.code_ND)
        id_R = self._scan(query_BD, min(max(_RESCORED_PER_RESULT * k, _MIN_RESCORED), num_passages)).flatten()
        query_R = torch.arange(len(query_BD)).repeat_interleave(len(id_R) // max(1, len(query_BD)))
        best = Best(len(query_BD), k, torch.float32)
        best.offer(query_R, inner_products(query_BD, query_R, self._rows, id_R), id_R)
        return best.results(min(k, num_passages))

    def _scan(self, query_BD: Tensor, num_best: int) -> Tensor:
        """Numbers of the best passages by codes, B x num_best."""
        scaled_BD = query_BD * self._codes.scale_D
        largest_B1 = scaled_BD.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
        code_BD = (scaled_BD / largest_B1 * _LARGEST).round().to(torch.int8)
        best = Best(len(query_BD), num_best, torch.int32)
        suitable = max(_BLOCK_ROWS, min(_MOST_ROWS, _SCORES_AT_ONCE // max(1, len(query_BD))))
        block_rows = self._block_rows or suitable
        for first in range(0, len(self._codes.code_ND), block_rows):
            score_Bn = _products(code_BD, self._codes.code_ND[first : first + block_rows])
            if best.is_full:
                floor_B1 = best.floor_B1 + 1  # of equal passages the earlier ones stay
            else:
                floor_B1 = score_Bn.topk(min(num_best, score_Bn.shape[1])).values[:, -1:]
            for query_P, row_P in pairs_above(score_Bn, floor_B1):
                best.offer(query_P, score_Bn[query_P, row_P], first + row_P)
        return best.results(num_best)[1]


def _products(code_BD: Tensor, code_nD: Tensor) -> Tensor:
    """Inner products of numbers in int8, B x n, in int32."""
    if code_nD.shape[1] == 1:  # torch._int_mm gets the products of single numbers wrong
        return code_BD.int() * code_nD.int().T
    # On a CPU with VNNI several times as fast as any product of floating-point numbers.
    return torch._int_mm(code_BD, code_nD.T)
