"""Pairs of a query and a passage that belong together, trained against the other passages of the batch.

Axes: B pairs, D projection.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from openrealm.text.pack import Row


@dataclass(frozen=True, slots=True)
class Pairs:
    """Encoder rows of queries and, at the same positions, of the passages that belong to them."""

    queries: list[Row]
    passages: list[Row]

    def __len__(self) -> int:
        return len(self.queries)


def in_batch_loss(query_BD: Tensor, passage_BD: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of each query's own passage among those of the batch, in nats, and the accuracy.

    query_BD, passage_BD  vectors; row b of both belongs to pair b
    """
    score_BB = query_BD @ passage_BD.T
    own_B = torch.arange(score_BB.shape[0], device=score_BB.device)
    return torch.nn.functional.cross_entropy(score_BB, own_B), (score_BB.argmax(dim=1) == own_B).float().mean()
