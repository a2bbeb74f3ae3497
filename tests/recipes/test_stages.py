from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from openrealm import files
from openrealm.config import Config
from openrealm.errors import DamagedArtefact
from openrealm.recipes import stages
from openrealm.recipes.run import Run


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
