"""The base model: masks and vectors are those that our reader and towers compute from the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from openrealm.base.model import Base, Chunk, fresh_backbone
from openrealm.errors import DamagedArtefact
from openrealm.model.reader import Reader
from openrealm.model.state import load_unique_state, unique_state
from openrealm.text.pack import Row, pad

SIZES = {
    "num_layers": 2,
    "hidden_size": 32,
    "num_heads": 2,
    "inner_size": 64,
    "vocab_size": 90,
    "max_positions": 64,
    "pad_id": 0,
}


def base(seed: int = 0) -> Base:
    torch.manual_seed(seed)
    model = Base(fresh_backbone(**SIZES), 0, 90, 16).eval()
    torch.nn.init.normal_(model.head.bias)
    return model


def rows() -> list[Row]:
    rng = np.random.default_rng(0)
    return [Row(rng.integers(5, 90, size=length), length // 2) for length in (9, 4, 12)]


def chunk(parts: list[Row], positions: list[list[int]], gold: list[list[int]]) -> Chunk:
    ids, real, segments = (torch.from_numpy(array) for array in pad(parts, 0))
    places = [n * ids.shape[1] + p for n, row in enumerate(positions) for p in row]
    tokens = [t for row in gold for t in row]
    return Chunk(ids, real, segments, torch.tensor(places), torch.tensor(tokens), torch.arange(len(parts)))


@torch.no_grad()
def test_masks_are_filled_as_the_reader_fills_them() -> None:
    model, positions, gold = base(), [[1, 2], [3], [0, 5]], [[7, 8], [9], [10, 11]]
    reader = Reader(model.encoder, 90).eval()
    reader.head.load_state_dict(model.head.state_dict())
    wanted = reader.gold_log_prob(rows(), positions, gold)
    logits, (vectors, _) = model([chunk(rows(), positions, gold)], [], [])
    got = logits.log_softmax(dim=1).gather(1, torch.tensor([t for row in gold for t in row])[:, None])[:, 0]
    assert torch.allclose(got, wanted[wanted != 0], atol=1e-5)
    assert vectors.shape == (0, 16)


@torch.no_grad()
def test_vectors_are_those_of_the_tower_whatever_the_chunks() -> None:
    model, none = base(), [[], [], []]
    wanted = model.tower(rows())
    whole = chunk(rows(), none, none)
    parts = [
        Chunk(*(getattr(whole, name)[n] for name in ("id_nT", "real_nT", "segment_nT")), *([torch.zeros(0)] * 2), n)
        for n in (torch.tensor([2, 0]), torch.tensor([1]))
    ]
    assert torch.allclose(model.embed(parts), wanted, atol=1e-5)
    assert torch.allclose(wanted.norm(dim=1), torch.ones(3), atol=1e-5)


def test_the_shared_encoder_is_stored_once_and_read_back() -> None:
    model, other = base(), base(seed=1)
    state = unique_state(model)
    assert not any(name.startswith("tower.encoder") for name in state)
    load_unique_state(other, state, Path("here"))
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in model.state_dict().items())
    del state["head.bias"]
    with pytest.raises(DamagedArtefact, match=r"here does not fit this model: missing \['head.bias'\]"):
        load_unique_state(other, state, Path("here"))
