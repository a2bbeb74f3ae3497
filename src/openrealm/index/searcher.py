"""The protocol of searchers, and what they share: the best results so far, inner products, merging of shards.

Axes: B queries, K results, N passages, n passages of a block, D projection, P pairs of a query and a passage.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from openrealm.errors import BadConfig
from openrealm.registry import SEARCHERS

if TYPE_CHECKING:
    from openrealm.index.int8 import Codes
    from openrealm.index.rows import StoredRows

_PAIRS_AT_ONCE = 1 << 17
_COLUMNS_AT_ONCE, _FEW = 32, 8
_NUMBERS_AT_ONCE = 1 << 15  # of rows that are multiplied, so that they stay in the cache


class Searcher(Protocol):
    """Maximum inner product search over a fixed set of vectors."""

    def search(self, query_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and passage numbers, both B x min(k, N), best first, ties by passage number.

        The results for a query must not depend on the other queries of the batch.
        """
        ...


MakeSearcher = Callable[..., Searcher]
"""Makes a searcher of passage vectors, N x D, in float32 or float16, which may be memory-mapped.

If it has parameters of these names, it also gets `codes`, the vectors in 8 bits (`int8.Codes`) or None, `rows`, from
which single vectors are to be taken, by number (the vectors, or `rows.StoredRows`), and `argument`, what follows the
colon of its name: "IVF1024,Flat" of "faiss:IVF1024,Flat".
"""


def make_searcher(
    searcher: str | MakeSearcher, vector_ND: Tensor, codes: Codes | None = None, rows: StoredRows | None = None
) -> Searcher:
    """The searcher of this name, with its argument after a colon, or by this function, over some vectors.

    Raises BadConfig if there is no such name, or it takes no argument.

    >>> make_searcher("exact", torch.eye(3)).search(torch.eye(3)[1:2], 1)[1].tolist()
    [[1]]
    """
    name, _, argument = searcher.partition(":") if isinstance(searcher, str) else ("", "", "")
    make: MakeSearcher = SEARCHERS.get(name) if isinstance(searcher, str) else searcher
    taken = inspect.signature(make).parameters
    if argument and "argument" not in taken:
        raise BadConfig(f"The searcher {name!r} takes no argument, but {searcher!r} gives one; write {name!r}.")
    options = {
        "codes": codes,
        "rows": vector_ND if rows is None else rows,
        **({"argument": argument} if argument else {}),
    }
    return make(vector_ND, **{key: value for key, value in options.items() if key in taken})


class Best:
    """The best k passages per query of all that were offered, in whatever order and portions.

    >>> best = Best(1, 2, torch.float32)
    >>> best.offer(torch.tensor([0, 0, 0]), torch.tensor([1.0, 3.0, 3.0]), torch.tensor([4, 7, 5]))
    >>> best.results(2)
    (tensor([[3., 3.]]), tensor([[5, 7]]))
    """

    def __init__(self, num_queries: int, k: int, dtype: torch.dtype, device: torch.device | None = None) -> None:
        """`dtype`: of the scores."""
        self._num_queries, self._k = num_queries, k
        self._query_A = torch.zeros(0, dtype=torch.long, device=device)
        self._id_A = torch.zeros(0, dtype=torch.long, device=device)
        self._score_A = torch.zeros(0, dtype=dtype, device=device)
        lowest = -torch.inf if dtype.is_floating_point else torch.iinfo(dtype).min
        self._floor_B1 = torch.full((num_queries, 1), lowest, dtype=dtype, device=device)
        self.is_full = False

    @property
    def floor_B1(self) -> Tensor:
        """The score of the k-th best passage of each query so far, or the lowest number there is, B x 1."""
        return self._floor_B1

    def offer(self, query_P: Tensor, score_P: Tensor, id_P: Tensor) -> None:
        """Take in passages: the number of the query, the score and the number of the passage."""
        query_A, score_A, id_A = (
            torch.cat(pair) for pair in ((self._query_A, query_P), (self._score_A, score_P), (self._id_A, id_P))
        )
        order_A = id_A.argsort()
        order_A = order_A[score_A[order_A].argsort(descending=True, stable=True)]
        order_A = order_A[query_A[order_A].argsort(stable=True)]
        num_B = torch.bincount(query_A, minlength=self._num_queries)
        first_B = num_B.cumsum(0) - num_B
        rank_A = torch.arange(len(order_A), device=order_A.device) - first_B[query_A[order_A]]
        kept = order_A[rank_A < self._k]
        self._query_A, self._score_A, self._id_A = query_A[kept], score_A[kept], id_A[kept]
        is_last = rank_A == self._k - 1
        self._floor_B1[query_A[order_A[is_last]], 0] = score_A[order_A[is_last]]
        self.is_full = int(is_last.sum()) == self._num_queries

    def results(self, num_results: int) -> tuple[Tensor, Tensor]:
        """Scores and passage numbers, both B x num_results; so many must have been offered for every query."""
        shape = (self._num_queries, num_results)
        return self._score_A.reshape(shape), self._id_A.reshape(shape)


def pairs_above(score_Bn: Tensor, floor_B1: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Numbers of the query and the column of all scores that are at least `floor_B1`, in portions.

    Usually they are few: then columns are first compared by the largest of 32, which takes half the time.
    """
    stride = score_Bn.shape[1] // _COLUMNS_AT_ONCE
    grouped = stride * _COLUMNS_AT_ONCE
    largest_Bs = score_Bn[:, :grouped].unflatten(1, (_COLUMNS_AT_ONCE, stride)).amax(dim=1)  # type: ignore[no-untyped-call]
    query_G, column_G = (largest_Bs >= floor_B1).nonzero(as_tuple=True)
    if len(query_G) * _FEW > largest_Bs.numel():
        grouped = 0
    else:
        offset_C = stride * torch.arange(_COLUMNS_AT_ONCE, device=score_Bn.device)
        for query_P, first_P in _portions(query_G, column_G, _PAIRS_AT_ONCE // _COLUMNS_AT_ONCE):
            column_PC = first_P[:, None] + offset_C
            place_H, member_H = (score_Bn[query_P[:, None], column_PC] >= floor_B1[query_P]).nonzero(as_tuple=True)
            yield query_P[place_H], column_PC[place_H, member_H]
    query_P, column_P = (score_Bn[:, grouped:] >= floor_B1).nonzero(as_tuple=True)
    for query_H, column_H in _portions(query_P, column_P, _PAIRS_AT_ONCE):
        yield query_H, grouped + column_H


def _portions(query_P: Tensor, row_P: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    yield from zip(query_P.split(size), row_P.split(size), strict=True)  # type: ignore[no-untyped-call]


def inner_products(query_BD: Tensor, query_P: Tensor, vector_ND: Tensor | StoredRows, row_P: Tensor) -> Tensor:
    """Inner products of queries and rows of `vector_ND`, given by their numbers (P,), in float32.

    Their bits do not depend on what else is computed with them: products of float32 are exact in float64, and each sum
    is rounded to float32 at the end. A matrix product adds in an order that depends on its shape.

    >>> query_BD, vector_ND = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    >>> inner_products(query_BD, torch.tensor([0, 0]), vector_ND, torch.tensor([1, 0]))
    tensor([11.,  1.])
    """
    rows = max(1, _NUMBERS_AT_ONCE // max(1, query_BD.shape[1]))
    portions = _portions(query_P, row_P, rows)
    return torch.cat([(query_BD[b].double() * vector_ND[i].double()).sum(dim=1).float() for b, i in portions])


def merged(results: Sequence[tuple[Tensor, Tensor]], k: int) -> tuple[Tensor, Tensor]:
    """The best k of the results of several shards, each scores and passage numbers (of the whole index), B x K.

    If the shards are searched exactly, for at least k passages each, the result is that of searching all vectors at
    once.

    >>> shards = [(torch.tensor([[2.0, 1.0]]), torch.tensor([[0, 1]])), (torch.tensor([[2.0]]), torch.tensor([[7]]))]
    >>> merged(shards, 2)
    (tensor([[2., 2.]]), tensor([[0, 7]]))
    """
    score_BR, id_BR = (torch.cat(parts, dim=1) for parts in zip(*results, strict=True))
    by_id = id_BR.argsort(dim=1)
    score_BR, id_BR = score_BR.gather(1, by_id), id_BR.gather(1, by_id)
    by_score = score_BR.argsort(dim=1, descending=True, stable=True)[:, :k]
    return score_BR.gather(1, by_score), id_BR.gather(1, by_score)
