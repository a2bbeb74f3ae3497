"""Chunks of ragged rows agree with single rows; an unusable backbone is named in the error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from openrealm.errors import BadConfig, OpenRealmError
from openrealm.model.encoder import in_order, load_backbone, wide
from openrealm.model.realm import Realm
from openrealm.text.pack import Row, pad


@torch.no_grad()
def test_hidden_states_in_a_chunk_are_those_of_each_row_alone(realm_in_float64: Realm, ragged_rows: list[Row]) -> None:
    encoder = realm_in_float64.reader.encoder
    seen = []
    for indices, hidden_nTH, real_nT in encoder.chunks(ragged_rows, max_rows=7):
        lengths = [len(ragged_rows[i]) for i in indices]
        assert lengths == sorted(lengths)
        assert real_nT.sum(dim=1).tolist() == lengths
        assert hidden_nTH.shape == (len(indices), max(lengths), 32)
        for n, i in enumerate(indices):
            [(_, alone_1TH, _)] = encoder.chunks([ragged_rows[i]])
            torch.testing.assert_close(hidden_nTH[n, : lengths[n]], alone_1TH[0], rtol=1e-10, atol=1e-10)
        seen += indices
    assert sorted(seen) == list(range(len(ragged_rows)))


@torch.no_grad()
def test_the_segment_of_a_token_matters(realm_in_float64: Realm, ragged_rows: list[Row]) -> None:
    row = ragged_rows[0]
    encoder = realm_in_float64.reader.encoder
    [(_, two_1TH, _)] = encoder.chunks([row])
    [(_, one_1TH, _)] = encoder.chunks([Row(row.ids, len(row))])
    assert not torch.allclose(two_1TH, one_1TH)


def test_outputs_of_chunks_are_put_into_the_order_of_their_rows() -> None:
    parts = [torch.tensor([[30.0], [10.0]]), torch.tensor([[20.0], [0.0]])]
    assert in_order(parts, [3, 1, 2, 0]).flatten().tolist() == [0.0, 10.0, 20.0, 30.0]


def test_half_precision_becomes_single_and_double_is_kept() -> None:
    assert wide(torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.float32
    assert wide(torch.zeros(1)).dtype == torch.float32
    assert wide(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64


def test_a_backbone_is_loaded_from_a_folder_without_pooler_and_with_the_requested_layers(toy_backbone: Path) -> None:
    whole, first = load_backbone(str(toy_backbone)), load_backbone(str(toy_backbone), num_layers=1, dropout=0.3)
    names = set(dict(first.named_parameters()))
    assert not any("pooler" in name for name in names)
    assert names < set(dict(whole.named_parameters()))
    assert first.config.num_hidden_layers == 1  # type: ignore[union-attr]
    assert first.config.hidden_dropout_prob == 0.3  # type: ignore[union-attr]
    for name, parameter in first.named_parameters():
        assert torch.equal(parameter, whole.get_parameter(name))


def test_more_layers_than_the_backbone_has_are_refused(toy_backbone: Path) -> None:
    with pytest.raises(BadConfig, match=r"model\.num_layers is 3, but the backbone has 2 layers"):
        load_backbone(str(toy_backbone), num_layers=3)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"model\.backbone: .*nowhere is not a folder; give a folder"):
        load_backbone(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("damage", ["empty", "no_weights", "cut_weights", "bad_json"])
def test_a_folder_without_a_usable_model_is_named(tmp_path: Path, toy_backbone: Path, damage: str) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    if damage != "empty":
        shutil.copy(toy_backbone / "config.json", folder)
    if damage == "cut_weights":
        (folder / "model.safetensors").write_bytes((toy_backbone / "model.safetensors").read_bytes()[:1000])
    if damage == "bad_json":
        (folder / "config.json").write_text("{")
    with pytest.raises(BadConfig, match=r"model\.backbone: .*broken could not be loaded .*; give a folder with"):
        load_backbone(str(folder))


def test_weights_in_a_pickle_are_not_read(tmp_path: Path, toy_backbone: Path) -> None:
    shutil.copy(toy_backbone / "config.json", tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(OpenRealmError):
        load_backbone(str(tmp_path))
    assert not (tmp_path / "ran").exists()


def test_the_toy_backbone_has_the_size_in_its_config(toy_backbone: Path) -> None:
    assert json.loads((toy_backbone / "config.json").read_text())["hidden_size"] == 32


@torch.no_grad()
def test_in_bf16_the_mask_hides_padding(toy_realm: Callable[..., Realm], ragged_rows: list[Row]) -> None:
    """Hidden states in bf16 are close to those in float32, whatever stands beside a row in its chunk."""
    encoder = toy_realm("model.dropout=0").eval().reader.encoder
    for number in (0, 7, 23):
        alone = encoder(*_inputs([ragged_rows[number]]))
        with torch.autocast("cpu", torch.bfloat16):
            beside = encoder(*_inputs([ragged_rows[number], max(ragged_rows, key=len)]))
        torch.testing.assert_close(beside[:1, : alone.shape[1]].float(), alone, rtol=0.05, atol=0.05)


def _inputs(rows: list[Row]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    ids, real, segments = pad(rows, 0)
    return torch.from_numpy(ids), torch.from_numpy(real), torch.from_numpy(segments)
