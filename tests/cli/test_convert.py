from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from openrealm.cli.main import main
from openrealm.model.realm import Realm


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory, toy_realm: Callable[..., Realm]) -> Path:
    folder = tmp_path_factory.mktemp("model") / "model"
    model = toy_realm("model.projection=released", "model.norm_eps=1e-12")
    model.add_span_reader()
    model.save_pretrained(folder)
    return folder


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """What was said: one sentence of an error, without a traceback."""
    lines = capsys.readouterr().err.splitlines()
    assert not any("Traceback" in line for line in lines)
    return " ".join(lines)


def test_to_hugging_face_and_back(model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    assert main(["convert", str(model_folder), "--to", "huggingface", "--out", str(there)]) == 0
    sources = [str(there / name) for name in ("embedder", "encoder", "openqa")]
    assert main(["convert", *sources, "--out", str(back)]) == 0
    assert f"passage_tower: from {there / 'embedder'}" in printed(capsys)
    before, after = Realm.from_pretrained(model_folder), Realm.from_pretrained(back / "model")
    assert after.retriever.query_tower.digest() == before.retriever.query_tower.digest()
    state = after.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in before.state_dict().items())


def test_a_tower_to_sentence_transformers(model_folder: Path, tmp_path: Path) -> None:
    assert main(["convert", str(model_folder), "--to", "sentence-transformers", "--out", str(tmp_path / "st")]) == 0
    for name in ("query", "passage"):
        modules = json.loads((tmp_path / "st" / name / "modules.json").read_text())
        assert [module["path"] for module in modules] == [
            "0_Transformer", "1_Pooling", "2_Dense", "3_Dense", "4_LayerNorm"
        ]  # fmt: skip
        assert all((tmp_path / "st" / name / module["path"] / "config.json").is_file() for module in modules)


def test_vectors_of_an_index_become_block_emb_only_for_their_own_tower(
    answering_run: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--to", "huggingface", "--index", str(answering_run / "index"), "--out", str(tmp_path / "out")]
    assert main(["convert", str(model_folder), *words]) == 2
    assert "was built with another" in printed(capsys)
    assert not (tmp_path / "out").exists()


def test_block_emb_without_its_texts_is_left_out_and_said(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(model_folder), "--to", "huggingface", "--out", str(tmp_path / "hf")]) == 0
    openqa = tmp_path / "hf" / "openqa"
    tensors = load_file(openqa / "model.safetensors")
    save_file(tensors | {"block_emb": torch.ones(2, 16)}, openqa / "model.safetensors")
    assert main(["convert", str(openqa), "--out", str(tmp_path / "model")]) == 0
    assert "skipped; give its passages with --records" in printed(capsys)
    (tmp_path / "blocks.txt").write_text("Salt and amber.\nThe river runs.\n")
    words = ["--records", str(tmp_path / "blocks.txt"), "--out", str(tmp_path / "whole")]
    assert main(["convert", str(openqa), *words]) == 0
    assert "2 passages" in printed(capsys)
    assert {path.name for path in (tmp_path / "whole").iterdir()} == {"model", "corpus", "index", "manifest.json"}


def test_what_cannot_be_converted(model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    np.savez(tmp_path / "block.npz", block_emb=np.zeros((2, 16), np.float32))
    hf = tmp_path / "hf"
    assert main(["convert", str(model_folder), "--to", "huggingface", "--out", str(hf)]) == 0
    capsys.readouterr()
    out = ["--out", str(tmp_path / "out")]
    for words, sentence in (
        ([str(tmp_path), *out], "is neither a Hugging Face REALM folder"),
        ([str(tmp_path / "absent"), *out], "does not exist; give a folder"),
        ([str(tmp_path / "absent"), "--to", "huggingface", *out], "does not exist; give the folder of an openrealm"),
        ([str(hf / "reader"), "--to", "huggingface", *out], "is not an openrealm model"),
        ([str(model_folder), str(model_folder), "--to", "huggingface", *out], "needs one"),
        ([str(hf / "reader"), "--out", str(hf)], "already exists"),
        ([str(tmp_path / "block.npz"), "--tokenizer", str(model_folder), *out], "contains vectors but no network"),
        ([str(tmp_path / "block.npz"), *out], "add --tokenizer FOLDER"),
        ([str(hf / "reader"), "--records", str(tmp_path / "x.txt"), *out], "no source contains block_emb"),
    ):
        assert main(["convert", *words]) == 2
        assert sentence in printed(capsys)
        assert not (tmp_path / "out").exists()
