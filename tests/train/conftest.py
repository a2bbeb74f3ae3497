"""Questions on the toy world, and a pre-trainer in a folder of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.index.store import Binding, publish, versions
from openrealm.model.realm import Realm
from openrealm.train.embedder import embed_corpus
from openrealm.train.layout import Layout
from openrealm.train.pretrain import Pretrainer
from openrealm.types import Article, Question

CPU = Engine("cpu", False)


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Small matrices only."""


@pytest.fixture(scope="session")
def engine() -> Engine:
    return CPU


@pytest.fixture(scope="session")
def layout(toy_corpus: Corpus) -> Layout:
    return Layout(toy_corpus, title_in_joint=True)


@pytest.fixture(scope="session")
def toy_questions(toy_articles: list[Article]) -> list[Question]:
    """What is the capital of each country?"""
    questions = []
    for article in toy_articles[:-1]:
        found = re.search(r"capital of (\w+) is (\w+)", article.text)
        assert found is not None
        questions.append(Question(f"what is the capital of {found[1]}", (found[2],)))
    return questions


MakeTrainer = Callable[..., Pretrainer]


@pytest.fixture(scope="session")
def make_trainer(
    toy_config: Callable[..., Config],
    toy_realm: Callable[..., Realm],
    toy_corpus: Corpus,
    toy_corpus_folder: Path,
    layout: Layout,
) -> MakeTrainer:
    """`make_trainer(folder, "pretrain.num_steps=6", seed=1)`: fresh weights, an index of step 0 below folder/index."""

    def make(folder: Path, *changes: str, seed: int = 0, kind: type[Pretrainer] = Pretrainer) -> Pretrainer:
        config, model = toy_config(*changes), toy_realm(*changes, seed=seed)
        if not versions(folder / "index"):
            tower = model.retriever.passage_tower
            binding = Binding(tower.digest(), toy_corpus.tokenizer_digest, toy_corpus.digest)
            publish(folder / "index", 0, binding, embed_corpus(tower, layout, CPU))
        return kind(config, model, toy_corpus, toy_corpus_folder, folder / "index", folder / "run", CPU)

    return make
