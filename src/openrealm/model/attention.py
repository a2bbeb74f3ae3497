"""The reader's attention to each passage, the target of attention distillation (Izacard and Grave 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from openrealm.model.encoder import Encoder, in_order
from openrealm.text.pack import Row, chunks_by_length, pad


@torch.no_grad()
def passage_attention(
    encoder: Encoder, rows: Sequence[Row], positions: Sequence[Sequence[int]], max_rows: int = 32
) -> Tensor:
    """Logarithm of the share of the masks' attention that goes to segment 1 of each row.

    Izacard and Grave 2021 use the cross-attention of a decoder. An encoder over query and passage has the attention of
    its masked positions instead, averaged over masks, heads and layers. Segment 1 is the passage with its final [SEP],
    so that the null passage, which is just that [SEP], has a share too.

    rows       n joint inputs
    positions  per row, the positions of its masks, at least one
    max_rows   rows per forward pass
    Returns n log-shares <= 0 in float32, without gradient. Needs an extra forward pass without dropout, because fused
    attention, which training may use, does not return its weights.
    """
    was_training = encoder.training
    encoder.eval()
    parts: list[Tensor] = []
    order: list[int] = []
    for indices in chunks_by_length([len(row) for row in rows], max_rows):
        is_mask_nT, is_passage_nT, weight_nTT = _weights(encoder, [rows[i] for i in indices])
        for n, index in enumerate(indices):
            is_mask_nT[n, list(positions[index])] = True
        share_nT = (weight_nTT * is_passage_nT[:, None, :]).sum(dim=2)
        parts.append(((share_nT * is_mask_nT).sum(dim=1) / is_mask_nT.sum(dim=1)).log())
        order += indices
    encoder.train(was_training)
    return in_order(parts, order)


def _weights(encoder: Encoder, rows: Sequence[Row]) -> tuple[Tensor, Tensor, Tensor]:
    """A mask of False, n x T; a mask of the passage, n x T; attention averaged over heads and layers, n x T x T."""
    ids, real, segments = pad(rows, encoder.pad_id)
    device = encoder.device
    inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(real).long()}
    if int(getattr(encoder.backbone.config, "type_vocab_size", 0)) >= 2:
        inputs["token_type_ids"] = torch.from_numpy(segments)
    encoder.backbone.config._attn_implementation = "eager"  # type: ignore[union-attr]
    found = encoder.backbone(**{name: tensor.to(device) for name, tensor in inputs.items()}, output_attentions=True)
    weight_nTT = torch.stack([layer.float().mean(dim=1) for layer in found.attentions]).mean(dim=0)
    is_passage_nT = torch.from_numpy(segments).to(device) == 1
    return torch.zeros_like(is_passage_nT), is_passage_nT, weight_nTT
