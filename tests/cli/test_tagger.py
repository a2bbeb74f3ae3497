from __future__ import annotations

from pathlib import Path

import pytest

from openrealm.cli.main import main


def test_a_tagger_is_trained_and_evaluated(
    tmp_path: Path, toy_backbone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "train.conll"
    data.write_text("the O\ncapital O\nof O\nPeru I-LOC\n\n" * 8)
    out = tmp_path / "tagger"
    words = ["--out", str(out), "--test", str(data), "--backbone", str(toy_backbone), "--epochs", "1"]
    assert main(["tagger", "train", str(data), *words]) == 0
    printed = capsys.readouterr().err
    assert "precision" in printed
    assert f"corpus.tagger=hf:{out}" in printed
    assert (out / "manifest.json").is_file()


def test_a_bad_file_is_one_sentence_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "train.conll"
    data.write_text("Peru LOC\n")
    assert main(["tagger", "train", str(data), "--out", str(tmp_path / "tagger")]) == 2
    assert 'train.conll, line 1: "LOC" is not a label' in capsys.readouterr().err
    assert not (tmp_path / "tagger").exists()
