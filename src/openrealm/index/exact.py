"""Exact maximum inner product search: one matrix product and a top-k; ties go to the smaller passage number."""

from __future__ import annotations

import torch
from torch import Tensor


def search(vector_ND: Tensor, query_BD: Tensor, num_results: int) -> tuple[Tensor, Tensor]:
    """The `num_results` passages of highest inner product for each query.

    vector_ND  passage vectors, float32
    query_BD   query vectors, float32
    Returns scores and passage numbers, both B x min(num_results, N), best first, equal scores in passage order.
    """
    num_passages = vector_ND.shape[0]
    num_results = min(num_results, num_passages)
    score_BN = query_BD @ vector_ND.T
    # One more than asked for: it tells, at no cost, where a tie with the last result was left outside.
    score_BK, id_BK = torch.topk(score_BN, min(num_results + 1, num_passages), dim=1, sorted=True)
    tied_B = score_BK[:, num_results - 1 : num_results] == score_BK[:, num_results:]
    score_BK, id_BK = score_BK[:, :num_results], id_BK[:, :num_results]
    _settle_ties(score_BN, score_BK, id_BK, tied_B.any(dim=1))
    by_id = id_BK.argsort(dim=1, stable=True)
    score_BK, id_BK = score_BK.gather(1, by_id), id_BK.gather(1, by_id)
    by_score = score_BK.argsort(dim=1, descending=True, stable=True)
    return score_BK.gather(1, by_score), id_BK.gather(1, by_score)


def _settle_ties(score_BN: Tensor, score_BK: Tensor, id_BK: Tensor, tied_B: Tensor) -> None:
    """Where passages outside the top K tie with its last, let the smaller numbers in (topk takes any of them)."""
    last_B1 = score_BK[:, -1:]
    for row in tied_B.nonzero()[:, 0].tolist():
        is_last_K = score_BK[row] == last_B1[row]
        tied = (score_BN[row] == last_B1[row]).nonzero()[:, 0]
        id_BK[row, is_last_K] = tied[: int(is_last_K.sum())]


def search_unblocked(
    vector_ND: Tensor, query_BD: Tensor, num_results: int, group_N: Tensor, blocked: list[set[int]]
) -> list[list[int]]:
    """`search`, leaving out for each query every passage whose group is blocked (trivial candidates, spec Sec. 3.3).

    A few more than `num_results` are asked for; where a query is left with too few, as many more as can be blocked.
    Returns B lists of at most `num_results` passage numbers, best first.
    """
    num_asked = num_results + 4
    while True:
        _, id_BK = search(vector_ND, query_BD, num_asked)
        groups = group_N[id_BK].tolist()
        kept = [
            [passage for passage, group in zip(ids, row, strict=True) if group not in bad][:num_results]
            for ids, row, bad in zip(id_BK.tolist(), groups, blocked, strict=True)
        ]
        if num_asked >= vector_ND.shape[0] or all(len(row) == num_results for row in kept):
            return kept
        size_G = torch.bincount(group_N, minlength=1 + max(max(bad, default=0) for bad in blocked))
        num_asked = num_results + max(int(size_G[list(bad)].sum()) for bad in blocked)
