"""The passage tower by itself: equal vectors in chunks, alone, and from a snapshot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.errors import DamagedArtefact
from openrealm.model.embedder import embed_corpus, load_tower
from openrealm.model.realm import Realm
from openrealm.types import NULL


@pytest.fixture
def engine(one_thread: None) -> Engine:
    return Engine("cpu", False)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_corpus_is_embedded_as_each_passage_alone(
    toy_realm: Callable[..., Realm], toy_corpus: Corpus, engine: Engine, pooling: str
) -> None:
    model = toy_realm(f"model.pooling={pooling}", "model.normalize=true").train()
    tower = model.retriever.passage_tower
    counts: list[int] = []
    vector_ND = embed_corpus(tower, toy_corpus, engine, counts.append)
    assert sum(counts) == len(vector_ND) == toy_corpus.num_passages, "the null passage is not in the index"
    assert tower.training, "the mode is restored"
    tower.eval()
    with torch.no_grad():
        for i in range(toy_corpus.num_passages):
            torch.testing.assert_close(vector_ND[i], tower([toy_corpus.passage_row(i)])[0], rtol=1e-4, atol=1e-5)
    cls, sep = toy_corpus.specials.cls, toy_corpus.specials.sep
    assert toy_corpus.passage_row(NULL).ids.tolist() == [cls, sep, sep]


@pytest.mark.parametrize("seed", range(3))
def test_a_vector_does_not_depend_on_the_passages_embedded_with_it(
    toy_realm: Callable[..., Realm], toy_corpus: Corpus, engine: Engine, seed: int
) -> None:
    tower = toy_realm("model.pooling=mean").retriever.passage_tower
    whole_ND = embed_corpus(tower, toy_corpus, engine)
    some = np.random.default_rng(seed).permutation(toy_corpus.num_passages)[: [1, 7, 60][seed]]
    assert torch.equal(embed_corpus(tower, toy_corpus, engine, passages=some), whole_ND[torch.from_numpy(some)])


@pytest.mark.parametrize("shared", [True, False])
def test_a_tower_is_restored_from_its_folder_with_its_digest(
    tmp_path: Path, toy_realm: Callable[..., Realm], toy_corpus: Corpus, engine: Engine, shared: bool
) -> None:
    changes = [f"model.shared_towers={shared}", "model.pooling=mean", "model.normalize=true"]
    model = toy_realm(*changes, seed=5)
    model.retriever.passage_tower.projection.weight.data.mul_(1.5)
    digest = model.save_passage_tower(tmp_path / "tower")
    tower = load_tower(tmp_path / "tower")
    assert digest == tower.digest() == model.retriever.passage_tower.digest()
    expected = embed_corpus(model.retriever.passage_tower, toy_corpus, engine)
    assert torch.equal(embed_corpus(tower, toy_corpus, engine), expected)


@pytest.mark.parametrize("name", ["tower.safetensors", "config.json"])
def test_a_damaged_tower_is_refused_by_name(tmp_path: Path, toy_realm: Callable[..., Realm], name: str) -> None:
    toy_realm().save_passage_tower(tmp_path / "tower")
    path = tmp_path / "tower" / name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DamagedArtefact, match=name):
        load_tower(tmp_path / "tower")
