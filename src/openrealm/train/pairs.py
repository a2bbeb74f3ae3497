"""Pairs of a query and a passage that belong together, trained against the other passages of the batch.

Axes: B pairs of a batch, N pairs of one process (all of them, if it is the only one), D projection.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from openrealm.text.pack import Row
from openrealm.train.ranks import ALONE, Ranks


@dataclass(frozen=True, slots=True)
class Pairs:
    """Encoder rows of queries and, at the same positions, of the passages that belong to them."""

    queries: list[Row]
    passages: list[Row]

    def __len__(self) -> int:
        return len(self.queries)

    def part(self, rank: int, num_ranks: int) -> Pairs:
        """Every num_ranks-th pair, starting with number `rank`."""
        return Pairs(self.queries[rank::num_ranks], self.passages[rank::num_ranks])


def in_batch_loss(query_ND: Tensor, passage_ND: Tensor, ranks: Ranks = ALONE) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of each query's own passage among those of the batch, in nats, and the accuracy.

    query_ND, passage_ND  vectors; row n of both belongs to pair n
    ranks                 the processes that share the batch; these are the rows of one of them, and the passages of all
                          are negatives. The means of what is returned over the processes are those of the whole batch
    """
    score_NB = query_ND @ ranks.gather(passage_ND).T
    own_N = torch.arange(ranks.rank, score_NB.shape[1], ranks.num_ranks, device=score_NB.device)
    return own_passage_loss(score_NB, own_N, ranks)


def own_passage_loss(score_NB: Tensor, own_N: Tensor, ranks: Ranks = ALONE) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of each query's own passage, of which `own_N` is the column, in nats, and the accuracy."""
    weight = ranks.weight(len(own_N))
    if not len(own_N):
        return 0.0 * score_NB.sum(), score_NB.new_zeros(())
    loss = torch.nn.functional.cross_entropy(score_NB, own_N)
    return weight * loss, weight * (score_NB.argmax(dim=1) == own_N).float().mean()
