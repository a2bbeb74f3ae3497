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
    num_results = min(num_results, vector_ND.shape[0])
    score_BK, id_BK = torch.topk(query_BD @ vector_ND.T, num_results, dim=1, sorted=True)
    by_id = id_BK.argsort(dim=1, stable=True)
    score_BK, id_BK = score_BK.gather(1, by_id), id_BK.gather(1, by_id)
    by_score = score_BK.argsort(dim=1, descending=True, stable=True)
    return score_BK.gather(1, by_score), id_BK.gather(1, by_score)


def search_unblocked(
    vector_ND: Tensor, query_BD: Tensor, num_results: int, group_N: Tensor, blocked: list[set[int]]
) -> list[list[int]]:
    """`search`, leaving out for each query every passage whose group is blocked (trivial candidates, spec Sec. 3.3).

    More than `num_results` are asked for, and again more, until dropping the blocked leaves enough.
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
        num_asked *= 4
