"""One joint reading: candidates from the index, live scores from the towers, live log-probabilities from the reader.

Axes: B queries, K candidates (column 0 the null passage where it is used), J masked tokens, N corpus, D projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from openrealm.index.exact import search_unblocked
from openrealm.model.realm import Realm
from openrealm.train.examples import Example
from openrealm.train.layout import NULL, Layout


@dataclass(frozen=True, slots=True)
class Reading:
    """What `model.marginal` sums over. `num_tokens` counts the word pieces that towers and reader saw."""

    score_BK: Tensor
    gold_logp_BKJ: Tensor
    mask_BJ: Tensor
    valid_BK: Tensor
    candidates: list[list[int]]
    num_tokens: int


def encode_queries(model: Realm, layout: Layout, examples: Sequence[Example], max_query_tokens: int) -> Tensor:
    """Live E_in(x), B x D."""
    return model.retriever.encode_query([layout.query(e.query, max_query_tokens) for e in examples])


def find_candidates(
    vector_ND: Tensor,
    group_N: Tensor,
    query_BD: Tensor,
    examples: Sequence[Example],
    num_candidates: int,
    *,
    use_null: bool,
    block_trivial: bool,
) -> list[list[int]]:
    """The passages to read for each query by the (stale) index: null first, then the best that are not trivial."""
    groups = group_N.tolist() if block_trivial else None
    blocked = [{groups[e.passage]} if groups is not None else set() for e in examples]
    found = search_unblocked(vector_ND, query_BD.detach().float().cpu(), num_candidates - use_null, group_N, blocked)
    return [[NULL, *row] if use_null else row for row in found]


def score_candidates(
    model: Realm, layout: Layout, query_BD: Tensor, candidates: list[list[int]]
) -> tuple[Tensor, Tensor]:
    """Live f(x,z) of every candidate, each distinct passage encoded once. Returns scores and validity, both B x K."""
    distinct = sorted({passage for row in candidates for passage in row})
    place = {passage: number for number, passage in enumerate(distinct)}
    vector_UD = model.retriever.encode_passage([layout.passage(p) for p in distinct])
    longest = max(len(row) for row in candidates)
    index_BK = torch.tensor([[place[p] for p in row] + [0] * (longest - len(row)) for row in candidates])
    valid_BK = torch.tensor([[True] * len(row) + [False] * (longest - len(row)) for row in candidates])
    device = vector_UD.device
    # Multiplied out by hand: under autocast a matrix product would round the scores to bfloat16.
    score_BK = (query_BD[:, None, :] * vector_UD[index_BK.to(device)]).sum(dim=2)
    return score_BK, valid_BK.to(device)


def read(
    model: Realm, layout: Layout, examples: Sequence[Example], candidates: list[list[int]], max_joint_tokens: int
) -> tuple[Tensor, Tensor, int]:
    """log p(y_j|z,x) for every query, candidate and mask. Returns gold_logp_BKJ, mask_BJ and the tokens read."""
    longest = max(len(row) for row in candidates)
    rows, positions, gold = [], [], []
    for example, row in zip(examples, candidates, strict=True):
        for passage in row:
            rows.append(layout.joint(example.query, passage, max_joint_tokens)[0])
            positions.append([place + 1 for place in example.positions])
            gold.append(list(example.gold))
    flat_nJ = model.reader.gold_log_prob(rows, positions, gold)
    num_masks = flat_nJ.shape[1]
    lengths = [len(row) for row in candidates]
    padded = [torch.nn.functional.pad(part, (0, 0, 0, longest - len(part))) for part in torch.split(flat_nJ, lengths)]
    mask_BJ = torch.tensor([[j < len(e.positions) for j in range(num_masks)] for e in examples])
    return torch.stack(padded), mask_BJ.to(flat_nJ.device), sum(len(row) for row in rows)


def joint_reading(
    model: Realm,
    layout: Layout,
    examples: Sequence[Example],
    query_BD: Tensor,
    candidates: list[list[int]],
    max_joint_tokens: int,
) -> Reading:
    """Scores and readings of the candidates, both live, so that the gradient is exact for the truncated sum."""
    score_BK, valid_BK = score_candidates(model, layout, query_BD, candidates)
    gold_logp_BKJ, mask_BJ, num_read = read(model, layout, examples, candidates, max_joint_tokens)
    distinct = {passage for row in candidates for passage in row}
    num_tokens = num_read + sum(len(layout.passage(p)) for p in distinct) + sum(len(e.query) + 2 for e in examples)
    return Reading(score_BK, gold_logp_BKJ, mask_BJ, valid_BK, candidates, num_tokens)
