"""The loss of pairs against the other passages of their batch."""

from __future__ import annotations

import math

import pytest
import torch

from openrealm.train.pairs import in_batch_loss


def test_the_loss_is_the_cross_entropy_over_the_batch() -> None:
    torch.manual_seed(0)
    query_BD, passage_BD = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    loss, accuracy = in_batch_loss(query_BD, passage_BD)
    losses, hits = [], 0
    for b in range(5):
        scores = [float(query_BD[b] @ passage_BD[n]) for n in range(5)]
        losses.append(-math.log(math.exp(scores[b]) / sum(math.exp(score) for score in scores)))
        hits += scores[b] == max(scores)
    assert float(loss) == pytest.approx(sum(losses) / 5)
    assert float(accuracy) == pytest.approx(hits / 5)
