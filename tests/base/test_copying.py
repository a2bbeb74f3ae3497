"""The induction circuit of a fresh encoder: what each head looks at, and that it copies before anything was learnt."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from openrealm.base.copying import start_by_copying
from openrealm.base.model import fresh_backbone

VOCABULARY, ROW = 500, 40


def backbone(num_layers: int = 2, hidden_size: int = 256, num_heads: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return fresh_backbone(
        num_layers=num_layers,
        hidden_size=hidden_size,
        num_heads=num_heads,
        inner_size=2 * hidden_size,
        vocab_size=VOCABULARY,
        max_positions=128,
        pad_id=0,
    ).eval()


def row(seed: int) -> tuple[Tensor, Tensor, int, int]:
    """A masked query with a random passage that holds it, segments, the mask's place, what belongs there."""
    generator = torch.Generator().manual_seed(seed)
    passage = torch.randint(5, VOCABULARY, (ROW,), generator=generator)
    start = int(torch.randint(0, ROW - 7, (1,), generator=generator))
    query = passage[start : start + 7].clone()
    gold, query[3] = int(query[3]), 4
    ids = torch.cat([torch.tensor([2]), query, torch.tensor([3]), passage, torch.tensor([3])])
    segments = (torch.arange(len(ids)) > 8).long()
    return ids, segments, 4, gold


def attention(model: Any, ids: Tensor, segments: Tensor) -> Any:
    model.config._attn_implementation = "eager"
    return model(input_ids=ids[None], token_type_ids=segments[None], output_attentions=True)


@torch.no_grad()
def test_heads_of_the_first_layer_look_at_the_neighbours() -> None:
    model = backbone()
    assert start_by_copying(model)
    ids, segments, _, _ = row(1)
    weight_hTT = attention(model, ids, segments).attentions[0][0]
    places = torch.arange(3, len(ids) - 3)
    for head, offset in enumerate((-1, 1, -2, 2)):
        assert float((weight_hTT[head].argmax(dim=1)[places] == places + offset).float().mean()) > 0.9


@torch.no_grad()
def test_heads_of_the_second_find_the_place_with_the_same_neighbours() -> None:
    model = backbone()
    start_by_copying(model)
    num_right = 0
    for seed in range(60):
        ids, segments, place, gold = row(seed)
        weight_hTT = attention(model, ids, segments).attentions[1][0]
        best = weight_hTT.mean(dim=0)[place].argmax()
        num_right += int(ids[best]) == gold and int(segments[best]) == 1
    assert num_right >= 24, "one in forty would be chance"


@torch.no_grad()
def test_it_copies_untrained_and_a_fresh_one_does_not() -> None:
    def num_right(model: Any) -> int:
        right = 0
        for seed in range(60):
            ids, segments, place, gold = row(seed)
            state_H = attention(model, ids, segments).last_hidden_state[0, place]
            score_V = model.get_input_embeddings().weight @ state_H
            score_V[4] = -torch.inf  # the mask itself
            right += int(score_V.argmax()) == gold
        return right

    plain, circuit = backbone(), backbone()
    start_by_copying(circuit)
    assert num_right(circuit) >= 20
    assert num_right(plain) <= 6


@pytest.mark.parametrize("shape", [(1, 64, 2), (2, 64, 1), (2, 24, 4)])
def test_a_shape_without_room_for_it_is_left_as_it_was(shape: tuple[int, int, int]) -> None:
    model = backbone(*shape)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert not start_by_copying(model)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("shape", [(2, 32, 2), (3, 96, 6), (4, 48, 3)])
def test_other_shapes_are_finite_and_keep_their_sizes(shape: tuple[int, int, int]) -> None:
    model = backbone(*shape)
    assert start_by_copying(model)
    assert all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())
    ids, segments, _, _ = row(0)
    assert attention(model, ids, segments).last_hidden_state.isfinite().all()
