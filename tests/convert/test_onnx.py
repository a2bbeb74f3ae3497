"""Towers in ONNX give the vectors of `encode_query` and `encode_passage`, with onnxruntime and tokenizers alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from openrealm.cli.main import main
from openrealm.convert import onnx
from openrealm.errors import NotInstalled
from openrealm.model.realm import Realm

onnxruntime = pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed (extra dev)")
pytest.importorskip("onnxscript", reason="the package onnxscript is not installed (extra onnx)")

QUERIES = ["who sells salt?", "", "the river runs through the city of the north " * 20, "a [SEP] b [MASK]"]
PASSAGES = [("Lima", "was founded by Gustav on 3 May. " * 9), ("", "salt"), ("a [SEP]", "[CLS] b"), ("", "")]
SETTINGS = {
    "paper": (),
    "mean": ("model.pooling=mean", "model.normalize=true", "model.temperature=0.05"),
    "shared": ("model.shared_towers=true",),
    "released": ("model.projection=released", "model.norm_eps=1e-12"),
}


def randomised(model: Realm) -> Realm:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


def vectors(folder: Path, texts: list[Any]) -> npt.NDArray[np.float32]:
    """What a program without openrealm computes."""
    from tokenizers import Tokenizer

    rows = Tokenizer.from_file(str(folder / "tokenizer.json")).encode_batch(texts)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    inputs = {
        "input_ids": np.array([row.ids for row in rows]),
        "attention_mask": np.array([row.attention_mask for row in rows]),
        "token_type_ids": np.array([row.type_ids for row in rows]),
    }
    found: npt.NDArray[np.float32] = session.run(["vector"], inputs)[0]
    return found


def close(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> None:
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [pytest.param(SETTINGS[n], id=n, marks=[pytest.mark.slow] if n != "mean" else []) for n in SETTINGS],
)
def test_vectors_are_those_of_the_model_for_any_batch(
    toy_realm: Callable[..., Realm], tmp_path: Path, settings: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    model = randomised(toy_realm(*settings))
    model.save_pretrained(tmp_path / "model")
    assert main(["convert", str(tmp_path / "model"), "--to", "onnx", "--out", str(tmp_path / "out")]) == 0
    query, passage = tmp_path / "out" / "query", tmp_path / "out" / "passage"
    assert capsys.readouterr().err.splitlines() == [str(query), str(passage)]
    queries = model.encode_query(QUERIES, max_tokens=512)
    close(vectors(query, QUERIES), queries)
    for i, text in enumerate(QUERIES):  # another number of rows, another length, no padding
        close(vectors(query, [text]), queries[i : i + 1])
    close(vectors(passage, PASSAGES), model.encode_passage(PASSAGES))
    close(vectors(passage, ["salt"]), model.encode_passage(["salt"]))


def test_the_model_is_left_as_it_was(toy_realm: Callable[..., Realm]) -> None:
    model = toy_realm("model.dropout=0.1").train()
    tower = model.retriever.query_tower
    before = tower.digest(), tower.encoder.backbone.config._attn_implementation
    with onnx._as_exported(onnx._Graph(tower, 1.0)):
        assert not tower.training
    assert tower.training
    assert before == (tower.digest(), tower.encoder.backbone.config._attn_implementation)


@pytest.mark.slow
def test_an_encoder_without_segments(tmp_path: Path, toy_realm: Callable[..., Realm]) -> None:
    from transformers import DistilBertConfig, DistilBertModel

    base = toy_realm()
    words = DistilBertConfig(vocab_size=base.tokenizer.vocab_size, dim=32, n_layers=1, n_heads=2, hidden_dim=64)
    DistilBertModel(words).save_pretrained(tmp_path / "distilbert")
    base.tokenizer.save(tmp_path / "distilbert")
    model = Realm.from_pretrained(tmp_path / "distilbert", projection_dim=16)
    onnx.write(model, tmp_path / "out")
    close(vectors(tmp_path / "out" / "query", QUERIES), model.encode_query(QUERIES, max_tokens=512))
    close(vectors(tmp_path / "out" / "passage", PASSAGES), model.encode_passage(PASSAGES))


def test_without_the_extra_the_error_names_it(
    toy_realm: Callable[..., Realm], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(NotInstalled, match=r'needs onnxscript; install it with: pip install "openrealm\[onnx\]"'):
        onnx.write(toy_realm(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
