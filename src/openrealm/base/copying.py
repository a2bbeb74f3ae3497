"""Initial weights with which an untrained BERT copies: a hand-written induction circuit.

From random weights, a small encoder needs many millions of word pieces to learn that a mask can be filled in from a
passage with the same neighbours (docs/lab-log.md). Here the heads of the first layer attend to the word pieces one and
two positions before and after, and record them; the heads of the second layer compare these records, prefer segment 1
(the passage), and copy the matching word piece. All other layers are random, and all weights are trained afterwards.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

_EMBEDDING_SCALE = 0.07
_POSITION_SHARPNESS = 3.0  # of heads that attend to neighbours
_MATCH_SHARPNESS = 0.9  # of heads that compare records
_FAR_WEIGHT = 0.6  # of records of neighbours two positions away
_PASSAGE_BONUS = 20.0  # added to the score of word pieces in segment 1
_COPY_SCALE = 4.0
_MIN_LAYERS = 2


@torch.no_grad()
def start_by_copying(backbone: nn.Module) -> bool:
    """Write the circuit into an untrained BERT, using torch's random generator.

    Returns False and changes nothing if it has fewer than two layers, fewer than two heads, or heads of fewer than 8
    dimensions.
    """
    bert: Any = backbone
    num_heads = int(bert.config.num_attention_heads)
    head_size = int(bert.config.hidden_size) // num_heads
    if int(bert.config.num_hidden_layers) < _MIN_LAYERS or num_heads < _MIN_LAYERS or head_size < 8:
        return False
    rates_F = torch.exp(torch.linspace(math.log(math.pi / 2), math.log(1 / 200), head_size // 2 - 1))
    _embed(bert.embeddings, rates_F, head_size)
    offsets = [(1 + head // 2) * (-1) ** (head + 1) for head in range(num_heads)]
    note_HH = _look_at_neighbours(bert.encoder.layer[0].attention, rates_F, offsets, head_size)
    _copy_matches(bert.encoder.layer[1].attention, note_HH, offsets, head_size)
    return True


def _embed(embeddings: Any, rates_F: Tensor, num_place: int) -> None:
    """Encode the position in the first `num_place` dimensions, the segment in the last of them, and the word piece in
    all others.
    """
    words, places, segments = (
        part.weight
        for part in (embeddings.word_embeddings, embeddings.position_embeddings, embeddings.token_type_embeddings)
    )
    words.normal_(0, _EMBEDDING_SCALE)
    words[:, :num_place] = 0
    angle_TF = torch.arange(len(places))[:, None] * rates_F
    places.zero_()
    places[:, : num_place - 2] = torch.stack([angle_TF.sin(), angle_TF.cos()], dim=2).flatten(1)
    places.mul_(_EMBEDDING_SCALE * math.sqrt(2))
    segments.zero_()
    segments[:, num_place - 1] = torch.linspace(-1, 1, len(segments)) * 4 * _EMBEDDING_SCALE


def _look_at_neighbours(attention: Any, rates_F: Tensor, offsets: list[int], size: int) -> Tensor:
    """Let head h attend `offsets[h]` positions away and record the word piece; returns the output matrix, H x H."""
    query, key, value, out = _weights(attention)
    for weight in (query, key, value):
        weight.zero_()
    hidden, num_place = query.shape[1], size - 2
    for head, offset in enumerate(offsets):
        rows = slice(head * size, head * size + num_place)
        key[rows, :num_place] = _POSITION_SHARPNESS * torch.eye(num_place)
        for pair, rate in enumerate(rates_F):
            both = slice(2 * pair, 2 * pair + 2)
            query[rows, :num_place][both, both] = _POSITION_SHARPNESS * _turned(offset * rate)
        seen = _orthogonal(hidden - size)[:size]
        value[head * size : head * size + len(seen), size:] = seen
    note_HH = _orthogonal(hidden)
    out.copy_(note_HH)
    return note_HH


def _copy_matches(attention: Any, note_HH: Tensor, offsets: list[int], size: int) -> None:
    """Let every head compare all records, and head h copy its share of the word piece's dimensions."""
    query, key, value, out = _weights(attention)
    value.zero_()
    out.zero_()
    share = (note_HH.shape[0] - size) // len(offsets)
    weights = [1.0 if abs(offset) == 1 else _FAR_WEIGHT for offset in offsets]
    parts = torch.chunk(note_HH, len(offsets), dim=1)
    notes = torch.stack([weight * part.T for weight, part in zip(weights, parts, strict=True)]).sum(dim=0)
    for head in range(len(offsets)):
        rows, last = slice(head * size, (head + 1) * size), (head + 1) * size - 1
        query[rows] = key[rows] = _MATCH_SHARPNESS * _orthogonal(size) @ notes
        query[last] = key[last] = 0
        attention.self.query.bias[last] = _PASSAGE_BONUS
        key[last, size - 1] = 1
        mine = torch.arange(share) + size + head * share
        value[head * size + torch.arange(share), mine] = 1
        out[mine, head * size + torch.arange(share)] = _COPY_SCALE


def _weights(attention: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    inner = attention.self
    return inner.query.weight, inner.key.weight, inner.value.weight, attention.output.dense.weight


def _orthogonal(size: int) -> Tensor:
    matrix: Tensor = torch.linalg.qr(torch.randn(size, size))[0]
    return matrix


def _turned(angle: Tensor) -> Tensor:
    """The rotation that maps (sin p, cos p) to (sin(p + angle), cos(p + angle))."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, sin]), torch.stack([-sin, cos])])
