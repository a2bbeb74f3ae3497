"""Attention to passages, compared with the encoder's attention weights summed token by token."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from openrealm.model.attention import passage_attention
from openrealm.model.realm import Realm
from openrealm.text.pack import Row


@torch.no_grad()
def test_the_share_of_a_passage_is_the_mean_over_masks_heads_and_layers(
    toy_realm: Callable[..., Realm], ragged_rows: list[Row]
) -> None:
    encoder = toy_realm("model.dropout=0.3").reader.encoder.train()
    positions = [[0, 1] if row.second > 1 and n % 2 else [0] for n, row in enumerate(ragged_rows)]
    log_share_n = passage_attention(encoder, ragged_rows, positions)
    assert encoder.training, "the mode is restored"
    encoder.eval()
    encoder.backbone.config._attn_implementation = "eager"  # type: ignore[union-attr]
    for n in (0, 1, 20, 39):
        row = ragged_rows[n]
        ids = torch.from_numpy(row.ids)[None]
        segments = (torch.arange(len(row)) >= row.second).long()[None]
        layers = encoder.backbone(input_ids=ids, token_type_ids=segments, output_attentions=True).attentions
        shares = []
        for layer in layers:
            for head in layer[0]:
                for mask in positions[n]:
                    shares.append(sum(float(head[mask, t]) for t in range(row.second, len(row))))
        assert len(shares) == 2 * 2 * len(positions[n])
        assert float(log_share_n[n]) == pytest.approx(math.log(sum(shares) / len(shares)), abs=1e-5)


def test_attention_has_no_gradient_and_leaves_the_reader_unchanged(
    toy_realm: Callable[..., Realm], ragged_rows: list[Row]
) -> None:
    reader = toy_realm("model.dropout=0").reader
    places = [[0]] * len(ragged_rows)
    before = reader.gold_log_prob(ragged_rows, places, places)
    assert not passage_attention(reader.encoder, ragged_rows, places).requires_grad
    after = reader.gold_log_prob(ragged_rows, places, places)
    assert after.requires_grad
    torch.testing.assert_close(after, before, rtol=0, atol=0)
