from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from openrealm import files
from openrealm.config import Config
from openrealm.corpus import builder
from openrealm.errors import BadInput, DamagedArtefact
from openrealm.run import stages
from openrealm.run.folder import Run


def test_a_flipped_bit_of_the_corpus_stops_the_next_stage(tmp_path: Path, toy_corpus_folder: Path) -> None:
    run = Run(tmp_path, Config())
    shutil.copytree(toy_corpus_folder, run.corpus)
    files.write_json(run.records / "corpus.json", {"key": "key", "finished": True})
    tokens = run.corpus / "body.bin"
    data = bytearray(tokens.read_bytes())
    data[0] ^= 1
    tokens.write_bytes(data)
    with pytest.raises(DamagedArtefact, match=r"body\.bin differs from its digest"):
        stages.open_corpus(run)


def test_a_corpus_that_broke_off_is_gone_on_with(
    tmp_path: Path,
    toy_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(builder, "_SHARD_ARTICLES", 2)
    source = tmp_path / "source.jsonl"
    lines = [json.dumps({"title": f"Peru {i}", "text": f"The river {i} is in Peru."}) for i in range(9)]
    source.write_text("\n".join([*lines[:8], "{"]))
    run = Run(tmp_path / "runs" / "mine", toy_config(f"corpus.source={source}", "num_threads=2"))
    with pytest.raises(BadInput, match=r"source\.jsonl:9"), run.writing():
        stages.corpus_stage(run)
    assert builder.is_begun(run.corpus)
    source.write_text("\n".join(lines))
    with run.writing():
        corpus = stages.corpus_stage(run)
    assert [corpus.passage(i).title for i in range(len(corpus))] == [f"Peru {i}" for i in range(9)]
    assert "continuing an interrupted build" in capsys.readouterr().err
    assert not builder.unfinished(run.corpus).exists()
