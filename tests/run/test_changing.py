"""The corpus of a trained run is changed: indexes follow, models stay, and answers come from what is there now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from openrealm.cli.main import main
from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.index.index import Index, newest
from openrealm.run import artefacts, stages
from openrealm.run.folder import Run
from openrealm.serve.answerer import Answerer
from openrealm.types import Article


def rows(articles: list[Article]) -> str:
    return "".join(json.dumps({"id": a.id, "title": a.title, "text": a.text}) + "\n" for a in articles)


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    toy_articles: list[Article],
    toy_answering: Path,
    toy_config: Callable[..., Config],
    as_settings: Callable[[Config], list[str]],
) -> Path:
    """A run whose model answers as it is, with an index."""
    folder = tmp_path_factory.mktemp("runs") / "toy"
    source = folder.with_name("toy.jsonl")
    source.write_text(rows(toy_articles[:30]))
    settings = as_settings(toy_config(f"model.backbone={toy_answering}", "warm_start.num_steps=0"))
    assert main(["corpus", "build", str(source), "--run", str(folder), *settings]) == 0
    for command in ("warm-start", "index"):
        assert main([command, "--run", str(folder)]) == 0
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "run", copy_function=shutil.copy2)
    return tmp_path / "run"


def test_a_changed_run_is_that_of_a_rebuild_and_its_models_stay(
    run: Path, tmp_path: Path, toy_articles: list[Article], capsys: pytest.CaptureFixture[str]
) -> None:
    new = [Article("a3", "Lagoda", "The capital of Lagoda is Lima."), *toy_articles[30:33]]
    (tmp_path / "new.jsonl").write_text(rows(new))
    keys = {stage.name: stage.key(Run.open(run)) for stage in map(stages.get, ("warm_start", "index", "pretrain"))}
    capsys.readouterr()
    assert main(["corpus", "add", str(tmp_path / "new.jsonl"), "--run", str(run)]) == 0
    told = capsys.readouterr().err
    assert "index: 7/7" in told, "two passages of each of three new articles, and one of the replaced one"
    assert main(["corpus", "remove", "a5", "a6", "--run", str(run)]) == 0
    opened = Run.open(run)
    assert {name: stages.get(name).key(opened) for name in keys} == keys, "nothing is to be trained again"
    left = [new[0] if a.id == "a3" else a for a in toy_articles[:30] if a.id not in ("a5", "a6")] + new[1:]
    corpus = artefacts.open_corpus(opened)
    rebuilt = Corpus.build(
        left, tmp_path / "rebuilt", tokenizer=corpus.tokenizer(), max_passage_tokens=corpus.max_passage_tokens
    )
    assert corpus.digest == rebuilt.digest
    model = artefacts.open_model(opened, "warm_start")
    index = Index.open(newest(opened.index), corpus, model)
    expected = Index.build(model, rebuilt, engine=artefacts.engine_of(opened))
    assert torch.equal(index.vector_ND, expected.vector_ND)
    questions = [f"What is the capital of {a.title}?" for a in left[:10]]
    finder = artefacts.tower_finder(opened, model, "warm_start")
    config, engine = opened.config, artefacts.engine_of(opened)
    one = Answerer(model, corpus, finder=finder, config=config, engine=engine)
    other = Answerer(model, rebuilt, expected, config=config, engine=engine)
    for a, b in zip(one.ask(questions), other.ask(questions), strict=True):
        assert (a.text, a.score, a.source and a.source.passage_id) == (
            b.text,
            b.score,
            b.source and b.source.passage_id,
        )
        assert [p.passage_id for p in a.runners_up] == [p.passage_id for p in b.runners_up]


def test_unknown_articles_are_refused_and_the_run_stays_as_it_was(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new.jsonl").write_text(rows([Article("unknown", "", "Rain.")]))
    before = Corpus.open(run / "corpus").digest
    assert main(["corpus", "update", str(tmp_path / "new.jsonl"), "--run", str(run)]) == 2
    assert "has no article 'unknown' to update; add it with `openrealm corpus add`" in capsys.readouterr().err
    assert main(["corpus", "remove", "unknown", "--run", str(run)]) == 2
    assert "has no article 'unknown' (its articles are 'a0', 'a1', 'a2' and others)" in capsys.readouterr().err
    assert artefacts.open_corpus(Run.open(run)).digest == before
