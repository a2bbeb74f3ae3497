"""Hugging Face's folders: round trips, and what is refused. tests/peers compares with transformers itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from openrealm.convert import huggingface
from openrealm.convert.assemble import assemble
from openrealm.errors import BadInput, Mismatch
from openrealm.model.realm import Realm
from openrealm.model.state import unique_state
from openrealm.text.tokenizer import Tokenizer


@pytest.fixture
def written(released_realm: Realm, tmp_path: Path) -> Path:
    huggingface.write(released_realm, tmp_path / "out")
    return tmp_path / "out"


def changed(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def test_a_round_trip_gives_the_same_weights(released_realm: Realm, written: Path) -> None:
    sources = [huggingface.read(written / name) for name in ("scorer", "encoder", "reader")]
    back, origin = assemble(sources, released_realm.tokenizer)
    assert list(origin) == ["passage_tower", "query_tower", "reader", "span_reader"]
    assert back.has_trained_head
    state, before = unique_state(back), unique_state(released_realm)
    assert state.keys() == before.keys()
    assert all(torch.equal(state[name], before[name]) for name in before)
    mine, theirs = back.config, released_realm.config
    for key in ("projection", "projection_dim", "norm_eps", "span_norm_eps", "span_hidden", "pooling"):
        assert getattr(mine, key) == getattr(theirs, key)


def test_an_open_qa_folder_provides_the_query_tower_and_an_embedder_the_passage_tower(
    released_realm: Realm, written: Path
) -> None:
    sources = [huggingface.read(written / name) for name in ("openqa", "embedder", "encoder")]
    back, _ = assemble(sources, released_realm.tokenizer)
    for tower in ("query_tower", "passage_tower"):
        assert getattr(back.retriever, tower).digest() == getattr(released_realm.retriever, tower).digest()


def test_a_missing_part_is_initialised_from_another_encoder(released_realm: Realm, written: Path) -> None:
    back, origin = assemble([huggingface.read(written / "embedder")], released_realm.tokenizer)
    assert "not in any source" in origin["reader"]
    assert back.config.shared_towers
    assert back.span_reader is None
    assert not back.has_trained_head
    tower, reader = (m.encoder.state_dict() for m in (back.retriever.passage_tower, back.reader))
    assert all(torch.equal(reader[name], tower[name]) for name in tower)
    again, _ = assemble([huggingface.read(written / "embedder")], released_realm.tokenizer)
    assert torch.equal(back.reader.head.norm.weight, again.reader.head.norm.weight)


def test_all_tensors_that_do_not_fit_are_reported(released_realm: Realm, written: Path) -> None:
    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        tensors["embedder.cls.stranger"] = torch.zeros(1)
        del tensors["query_embedder.realm.encoder.layer.1.output.dense.bias"]
        tensors["query_embedder.cls.dense.weight"] = torch.zeros(16, 31)

    changed(written / "scorer", spoil)
    source = huggingface.read(written / "scorer")
    with pytest.raises(BadInput, match=r"unknown embedder\.cls\.stranger"):
        assemble([source], released_realm.tokenizer)
    del source.parts["passage_tower"].tensors["cls.stranger"]  # type: ignore[attr-defined]
    with pytest.raises(BadInput) as raised:
        assemble([source], released_realm.tokenizer)
    assert "missing query_embedder.realm.encoder.layer.1.output.dense.bias" in str(raised.value)
    assert "misshapen query_embedder.cls.dense.weight (shape (16, 31), expected (16, 32))" in str(raised.value)


def test_tensors_of_no_part_are_reported(written: Path) -> None:
    changed(written / "scorer", lambda tensors: tensors.update({"other.weight": torch.zeros(1)}))
    with pytest.raises(BadInput, match=r"unknown other\.weight"):
        huggingface.read(written / "scorer")


def test_an_untied_decoder_is_refused(written: Path) -> None:
    table = load_file(written / "encoder" / "model.safetensors")["realm.embeddings.word_embeddings.weight"]
    changed(written / "encoder", lambda t: t.update({"cls.predictions.decoder.weight": table.clone()}))
    huggingface.read(written / "encoder")
    changed(written / "encoder", lambda t: t.update({"cls.predictions.decoder.weight": table + 1}))
    with pytest.raises(BadInput, match=r"cls\.predictions\.decoder\.weight differs from realm\.embeddings"):
        huggingface.read(written / "encoder")


def test_a_part_in_two_sources_is_refused(released_realm: Realm, written: Path) -> None:
    twice = [huggingface.read(written / name) for name in ("openqa", "reader")]
    with pytest.raises(BadInput, match="contain the span_reader"):
        assemble(twice, released_realm.tokenizer)


def test_sources_and_tokenizer_must_fit_together(released_realm: Realm, written: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(Mismatch, match="--tokenizer"):
        assemble([huggingface.read(written / "encoder")], tokenizer)
    config = json.loads((written / "encoder" / "config.json").read_text())
    (written / "encoder" / "config.json").write_text(json.dumps(config | {"num_attention_heads": 4}))
    with pytest.raises(Mismatch, match="num_attention_heads"):
        assemble([huggingface.read(written / n) for n in ("embedder", "encoder")], released_realm.tokenizer)


def test_a_missing_architecture_is_guessed_from_the_tensors(written: Path) -> None:
    for name in ("embedder", "scorer", "encoder", "reader", "openqa"):
        before = set(huggingface.read(written / name).parts)
        config = json.loads((written / name / "config.json").read_text())
        (written / name / "config.json").write_text(json.dumps({**config, "architectures": None}))
        assert set(huggingface.read(written / name).parts) == before


def test_unusable_folders_are_refused(written: Path, tmp_path: Path) -> None:
    assert not huggingface.is_realm_folder(tmp_path)
    (written / "reader" / "model.safetensors").rename(written / "reader" / "pytorch_model.bin")
    with pytest.raises(BadInput, match="is a pickle, and pickles are never read"):
        huggingface.read(written / "reader")
    (written / "encoder" / "model.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(BadInput, match="cannot be read as safetensors"):
        huggingface.read(written / "encoder")
    config = written / "scorer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"architectures": ["BertModel"]}))
    with pytest.raises(BadInput, match="'BertModel'; expected one of RealmEmbedder"):
        huggingface.read(written / "scorer")
    for text in ("{", "[]"):
        config.write_text(text)
        with pytest.raises(BadInput, match=r"config\.json"):
            huggingface.read(written / "scorer")


@pytest.mark.parametrize(
    "setting",
    ["projection=linear", "pooling=mean", "normalize=true", "temperature=0.5", "norm_eps=1e-5"],
)
def test_a_model_without_a_counterpart_is_refused(
    toy_realm: Callable[..., Realm], tmp_path: Path, setting: str
) -> None:
    released = ["model.projection=released", "model.norm_eps=1e-12"]
    model = toy_realm(*released, f"model.{setting}")
    with pytest.raises(BadInput, match=rf"model\.{setting.split('=')[0]}"):
        huggingface.write(model, tmp_path / "out")
    assert not list(tmp_path.iterdir())
