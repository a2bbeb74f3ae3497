"""An index of a changed corpus takes over the vectors of the passages that have stayed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from openrealm import files
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.index.index import Index
from openrealm.model.realm import Realm
from openrealm.types import Article

ENGINE = Engine("cpu", False)


class Counting:
    """A model that counts the passages it embeds."""

    def __init__(self, model: Realm) -> None:
        self._model = model
        self.num_embedded = 0

    def embed_corpus(self, corpus: Corpus, **options: Any) -> Tensor:
        vector_ND = self._model.embed_corpus(corpus, **options)
        self.num_embedded += len(vector_ND)
        return vector_ND

    def passage_digest(self) -> str:
        return self._model.passage_digest()


@pytest.fixture
def model(toy_realm: Callable[..., Realm]) -> Counting:
    return Counting(toy_realm("model.pooling=mean"))


def corpus_of(articles: list[Article], folder: Path, backbone: Path, **settings: Any) -> Corpus:
    return Corpus.build(articles, folder, backbone=str(backbone), **{"max_passage_tokens": 60, **settings})


def test_only_new_passages_are_embedded_and_the_index_is_that_of_a_rebuild(
    tmp_path: Path, toy_articles: list[Article], toy_backbone: Path, model: Counting, one_thread: None
) -> None:
    before = corpus_of(toy_articles[:20], tmp_path / "before", toy_backbone)
    Index.build(model, before, tmp_path / "index", engine=ENGINE)
    changed = [toy_articles[40], *toy_articles[3:9], Article("new", "Peru", "Lima is a city."), *toy_articles[12:20]]
    after = corpus_of(changed, tmp_path / "after", toy_backbone)
    new = {passage.id for passage in after} - {passage.id for passage in before}
    model.num_embedded = 0
    index = Index.build(model, after, engine=ENGINE, earlier=tmp_path / "index")
    assert model.num_embedded == len(new) < len(after) / 2
    rebuilt = Index.build(model, after, engine=ENGINE)
    assert torch.equal(index.vector_ND, rebuilt.vector_ND)
    index.check(model, after)
    # What was taken over can be taken over again, and from a damaged version nothing is.
    version = index.save(tmp_path / "index")
    model.num_embedded = 0
    assert torch.equal(Index.build(model, after, engine=ENGINE, earlier=tmp_path / "index").vector_ND, index.vector_ND)
    assert model.num_embedded == 0
    (version / "passages.bin").write_bytes(b"damaged")
    assert torch.equal(Index.build(model, after, engine=ENGINE, earlier=tmp_path / "index").vector_ND, index.vector_ND)
    assert model.num_embedded == len(after)


@pytest.mark.parametrize("what", ["weights", "passage length", "precision", "nothing there"])
def test_vectors_that_were_made_in_another_way_are_not_taken_over(
    what: str,
    tmp_path: Path,
    toy_articles: list[Article],
    toy_backbone: Path,
    toy_realm: Callable[..., Realm],
    model: Counting,
) -> None:
    corpus = corpus_of(toy_articles[:5], tmp_path / "corpus", toy_backbone)
    if what != "nothing there":
        earlier = toy_realm("model.pooling=mean", seed=1) if what == "weights" else model
        length = 59 if what == "passage length" else 60
        other = corpus_of(toy_articles[:5], tmp_path / "other", toy_backbone, max_passage_tokens=length)
        Index.build(earlier, other, tmp_path / "index", engine=Engine("cpu", what == "precision"))
    model.num_embedded = 0
    Index.build(model, corpus, engine=ENGINE, earlier=tmp_path / "index")
    assert model.num_embedded == len(corpus)


def test_a_version_without_ids_of_passages_is_read_as_before(
    tmp_path: Path, toy_articles: list[Article], toy_backbone: Path, model: Counting
) -> None:
    corpus = corpus_of(toy_articles[:5], tmp_path / "corpus", toy_backbone)
    built = Index.build(model, corpus, engine=ENGINE)
    version = Index(built.vector_ND, built.binding).save(tmp_path / "index")
    assert "passages.bin" not in files.read_manifest(version)["files"]
    model.num_embedded = 0
    Index.build(model, corpus, engine=ENGINE, earlier=tmp_path / "index")
    assert model.num_embedded == len(corpus)
