"""The towers: pooling, projection, temperature, shared weights, and digest."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch

from openrealm.model.realm import Realm
from openrealm.model.retriever import Retriever, Tower
from openrealm.text.pack import Row


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("normalize", [False, True])
@torch.no_grad()
def test_vectors_are_the_projected_pool_of_each_row_alone(
    realm_in_float64: Realm, ragged_rows: list[Row], pooling: str, normalize: bool
) -> None:
    tower = Tower(realm_in_float64.retriever.passage_tower.encoder, 16, pooling=pooling, normalize=normalize).double()
    tower.eval()
    vector_nD = tower(ragged_rows, max_rows=9)
    assert vector_nD.shape == (40, 16)
    for row, vector in zip(ragged_rows, vector_nD, strict=True):
        [(_, hidden_1TH, _)] = tower.encoder.chunks([row])
        pooled = hidden_1TH[0, 0] if pooling == "cls" else hidden_1TH[0].mean(dim=0)
        expected = tower.projection.weight @ pooled
        expected = expected / expected.norm() if normalize else expected
        torch.testing.assert_close(vector, expected, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_the_temperature_divides_the_score(realm_in_float64: Realm, ragged_rows: list[Row]) -> None:
    tower = realm_in_float64.retriever.passage_tower
    plain, sharp = (Retriever(tower, shared=True, temperature=t) for t in (1.0, 0.05))
    rows = ragged_rows[:3]
    score_plain = plain.encode_query(rows) @ plain.encode_passage(rows).T
    score_sharp = sharp.encode_query(rows) @ sharp.encode_passage(rows).T
    torch.testing.assert_close(score_sharp, score_plain / 0.05)


def test_towers_are_shared_or_start_with_equal_weights(toy_realm: Callable[..., Realm]) -> None:
    shared, apart = toy_realm("model.shared_towers=true"), toy_realm()
    assert shared.retriever.query_tower is shared.retriever.passage_tower
    assert apart.retriever.query_tower is not apart.retriever.passage_tower
    assert apart.retriever.query_tower.digest() == apart.retriever.passage_tower.digest()
    shared.retriever.untie()
    assert shared.retriever.query_tower is not shared.retriever.passage_tower
    shared.retriever.query_tower.projection.weight.data.add_(1)
    assert shared.retriever.query_tower.digest() != shared.retriever.passage_tower.digest()


def test_the_digest_depends_on_every_weight(toy_realm: Callable[..., Realm]) -> None:
    tower = toy_realm().retriever.passage_tower
    digest = tower.digest()
    assert digest == copy.deepcopy(tower).digest()
    assert digest == toy_realm().retriever.passage_tower.digest()
    assert digest != toy_realm(seed=1).retriever.passage_tower.digest()
    for parameter in list(tower.parameters())[:3]:
        before = parameter.data.view(-1)[0].clone()
        parameter.data.view(-1)[0] = torch.nextafter(before, before + 1)
        assert tower.digest() != digest
        parameter.data.view(-1)[0] = before
    assert tower.digest() == digest


def test_a_new_projection_of_full_size_preserves_inner_products(toy_realm: Callable[..., Realm]) -> None:
    weight_DH = toy_realm("model.projection_dim=32").retriever.passage_tower.projection.weight
    torch.testing.assert_close(weight_DH @ weight_DH.T, torch.eye(32), rtol=1e-5, atol=1e-5)
