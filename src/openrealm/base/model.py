"""A small BERT that fills in masks and embeds texts, trained on both at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from openrealm.model.encoder import Encoder, in_order
from openrealm.model.reader import MaskedTokenHead
from openrealm.model.retriever import Tower


@dataclass(frozen=True, slots=True)
class Chunk:
    """Padded rows of similar length: n rows of T word pieces with M masks in total.

    id_nT       word pieces
    real_nT     False for padding
    segment_nT  segments
    place_M     positions of the masks among the n * T word pieces
    gold_M      the correct word pieces at these positions
    row_n       positions of the rows in the batch
    """

    id_nT: Tensor
    real_nT: Tensor
    segment_nT: Tensor
    place_M: Tensor
    gold_M: Tensor
    row_n: Tensor

    def to(self, device: torch.device) -> Chunk:
        """A copy on `device`, made asynchronously where possible."""
        tensors = (self.id_nT, self.real_nT, self.segment_nT, self.place_M, self.gold_M, self.row_n)
        return Chunk(*(tensor.to(device, non_blocking=True) for tensor in tensors))


def fresh_backbone(
    *,
    num_layers: int,
    hidden_size: int,
    num_heads: int,
    inner_size: int,
    vocab_size: int,
    max_positions: int,
    pad_id: int,
) -> nn.Module:
    """A BERT with random weights, no pooler and no dropout."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        intermediate_size=inner_size,
        max_position_embeddings=max_positions,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        layer_norm_eps=1e-5,
        pad_token_id=pad_id,
    )
    config._attn_implementation = "sdpa"
    make: Any = BertModel
    backbone: nn.Module = make(config, add_pooling_layer=False)
    return backbone


class Base(nn.Module):
    """Encoder, masked-token head and projection: the reader and both towers share the encoder."""

    def __init__(self, backbone: nn.Module, pad_id: int, vocab_size: int, projection_dim: int) -> None:
        super().__init__()
        self.encoder = Encoder(backbone, pad_id)
        self.tower = Tower(self.encoder, projection_dim, pooling="mean", normalize=True)
        norm_eps = float(backbone.config.layer_norm_eps)  # type: ignore[union-attr, arg-type]
        self.head = MaskedTokenHead(
            self.encoder.hidden_size, vocab_size, activation=self.encoder.activation, norm_eps=norm_eps
        )

    def forward(self, masked: Sequence[Chunk], *to_embed: Sequence[Chunk]) -> tuple[Tensor, list[Tensor]]:
        """Compute what all objectives need in one pass.

        Returns logits over the vocabulary at all masks, chunk after chunk, and the vectors of each part of `to_embed`
        in the order of its rows (0 x D if it is empty).
        """
        return self.fill(masked), [self.embed(part) for part in to_embed]

    def fill(self, chunks: Sequence[Chunk]) -> Tensor:
        """Logits at all masks, chunk after chunk, M x V in float32."""
        if not chunks:
            return self.encoder.word_embeddings().T[:0]  # of the right shape, and part of the graph
        picked = []
        for chunk in chunks:
            hidden_nTH = self.encoder(chunk.id_nT, chunk.real_nT, chunk.segment_nT)
            picked.append(hidden_nTH.flatten(0, 1)[chunk.place_M])
        logit_MV: Tensor = self.head(torch.cat(picked), self.encoder.word_embeddings())
        return logit_MV

    def embed(self, chunks: Sequence[Chunk]) -> Tensor:
        """Unit vectors of all rows in their order in the batch, n x D."""
        if not chunks:
            return self.tower.projection.weight.T[:0]  # of the right shape, and part of the graph
        parts = [self.tower.vectors(self.encoder(c.id_nT, c.real_nT, c.segment_nT), c.real_nT) for c in chunks]
        return in_order(parts, [row for chunk in chunks for row in chunk.row_n.tolist()])
