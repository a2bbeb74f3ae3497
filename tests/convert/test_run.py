"""A complete conversion: Google's three checkpoints become a model, a corpus and an index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from openrealm import files
from openrealm.convert.run import Options, convert
from openrealm.corpus.corpus import Corpus
from openrealm.errors import Mismatch
from openrealm.index.index import Index
from openrealm.model.realm import Realm
from openrealm.model.state import unique_state

Arrays = dict[str, npt.NDArray[Any]]
TEXTS = ["Salt and amber.", "The river runs.", "Barley."]


@pytest.fixture
def sources(
    google_arrays: Callable[[str], Arrays], bundle_writer: Callable[..., Path], released_realm: Realm, tmp_path: Path
) -> list[Path]:
    for stage in ("pretrained", "finetuned"):
        bundle_writer(tmp_path / f"{stage}.ckpt-7", google_arrays(stage), snappy=False)
    np.savez(tmp_path / "encoded.npz", block_emb=np.arange(48, dtype=np.float32).reshape(3, 16))
    (tmp_path / "blocks.txt").write_text("\n".join(TEXTS) + "\n")
    released_realm.tokenizer.save(tmp_path)
    return [tmp_path / name for name in ("pretrained.ckpt-7", "finetuned.ckpt-7", "encoded.npz")]


def test_the_converted_folder_can_be_loaded(sources: list[Path], released_realm: Realm, tmp_path: Path) -> None:
    lines = convert(sources, tmp_path / "out", "openrealm", Options(records=tmp_path / "blocks.txt", num_heads=2))
    assert lines[0] == f"passage_tower: from {sources[0]}"
    assert "corpus and index: 3 passages" in lines[-2]
    files.read_manifest(tmp_path / "out")
    model = Realm.from_pretrained(tmp_path / "out" / "model")
    state = unique_state(model)
    assert all(torch.equal(state[name], tensor) for name, tensor in unique_state(released_realm).items())
    corpus = Corpus.open(tmp_path / "out" / "corpus", verify=True)
    assert [corpus.passage(i).text for i in range(3)] == TEXTS
    version = Index.open(tmp_path / "out" / "index")
    assert version.binding.encoder == model.retriever.passage_tower.digest()
    assert version.vector_ND[:, 0].tolist() == [0, 16, 32]


def test_a_failure_leaves_nothing_behind(sources: list[Path], tmp_path: Path) -> None:
    (tmp_path / "blocks.txt").write_text("Only one.\n")
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(Mismatch, match="has 1 passage, but block_emb has 3 vectors"):
        convert(sources, tmp_path / "out", "openrealm", Options(records=tmp_path / "blocks.txt", num_heads=2))
    assert sorted(path.name for path in tmp_path.iterdir()) == before
