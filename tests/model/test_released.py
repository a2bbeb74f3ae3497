"""Settings that reproduce the released code: projection, epsilons and activation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from openrealm.model.embedder import load_tower
from openrealm.model.reader import MaskedTokenHead
from openrealm.model.realm import Realm
from openrealm.model.retriever import Tower
from openrealm.text.pack import Row


@torch.no_grad()
def test_the_released_projection_is_dense_tanh_linear_and_layer_norm(
    realm_in_float64: Realm, ragged_rows: list[Row]
) -> None:
    encoder = realm_in_float64.retriever.passage_tower.encoder
    tower = Tower(encoder, 16, projection="released", norm_eps=0.5).double().eval()
    assert tower.pooler is not None
    assert tower.norm is not None
    for parameter in (*tower.pooler.parameters(), *tower.projection.parameters(), *tower.norm.parameters()):
        parameter.add_(torch.randn_like(parameter))
    vector_nD = tower(ragged_rows[:5])
    dense = tower.pooler[0]
    for row, vector in zip(ragged_rows[:5], vector_nD, strict=True):
        [(_, hidden_1TH, _)] = encoder.chunks([row])
        pooled = torch.tanh(dense.weight @ hidden_1TH[0, 0] + dense.bias)
        projected = tower.projection.weight @ pooled + tower.projection.bias
        centred = projected - projected.mean()
        expected = centred / (centred.square().mean() + 0.5).sqrt() * tower.norm.weight + tower.norm.bias
        torch.testing.assert_close(vector, expected, rtol=1e-9, atol=1e-9)


def test_a_released_tower_is_saved_and_loaded(
    toy_realm: Callable[..., Realm], ragged_rows: list[Row], tmp_path: Path
) -> None:
    model = toy_realm("model.projection=released", "model.norm_eps=1e-3", "model.dropout=0").eval()
    model.save_pretrained(tmp_path / "model")
    back = Realm.from_pretrained(tmp_path / "model").eval()
    digest = model.save_passage_tower(tmp_path / "tower")
    tower = load_tower(tmp_path / "tower").eval()
    assert back.retriever.passage_tower.digest() == tower.digest() == digest
    with torch.no_grad():
        vectors = [t(ragged_rows[:3]) for t in (model.retriever.passage_tower, back.retriever.passage_tower, tower)]
    assert torch.equal(vectors[0], vectors[1])
    assert torch.equal(vectors[0], vectors[2])


def test_epsilons_reach_the_layer_norms_of_the_heads(toy_realm: Callable[..., Realm]) -> None:
    model = toy_realm("model.projection=released", "model.norm_eps=1e-12", "model.span_norm_eps=1e-3")
    norm = model.retriever.query_tower.norm
    assert norm is not None
    assert (norm.eps, model.reader.head.norm.eps, model.add_span_reader().norm.eps) == (1e-12, 1e-12, 1e-3)
    plain = toy_realm()
    assert plain.retriever.query_tower.norm is None
    assert (plain.reader.head.norm.eps, plain.add_span_reader().norm.eps) == (1e-5, 1e-5)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("gelu", torch.nn.functional.gelu),
        ("gelu_new", lambda x: torch.nn.functional.gelu(x, approximate="tanh")),
        ("relu", torch.relu),
    ],
)
@torch.no_grad()
def test_the_head_uses_the_activation_of_its_encoder(
    name: str, function: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    head = MaskedTokenHead(8, 5, activation=name)
    hidden_MH, table_VH = torch.randn(3, 8), torch.randn(5, 8)
    torch.testing.assert_close(head(hidden_MH, table_VH), head.norm(function(hidden_MH)) @ table_VH.T)
