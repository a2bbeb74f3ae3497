"""Custom parts as in docs/guide/extending.md: by object from Python, by name on the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import openrealm as orm
from openrealm.cli.main import main
from openrealm.config import Config
from openrealm.registry import CALLBACKS, LOSSES, RULES, SEARCHERS, SOURCES, TAGGERS
from openrealm.run.folder import Run
from openrealm.types import Article

GUIDE = Path(__file__).parent.parent / "docs" / "guide" / "extending.md"


ADDED = ((CALLBACKS, "best_recall"), (LOSSES, "decided"), (RULES, "percentages"), (SEARCHERS, "half"),
         (SOURCES, "lines"), (TAGGERS, "capitals"))  # fmt: skip


@pytest.fixture(scope="module")
def parts() -> Iterator[dict[str, Any]]:
    """The names defined by the Python code of the guide; its registered parts are removed afterwards."""
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        exec(compile(block, str(GUIDE), "exec"), names)
    yield names
    for registry, name in ADDED:
        registry.remove(name)


@pytest.fixture
def notes(tmp_path: Path, toy_articles: list[Article]) -> Path:
    """A file for the source defined in the guide."""
    path = tmp_path / "notes.txt"
    path.write_text("".join(f"{article.title}\t{article.text} It grew by 12 %.\n" for article in toy_articles))
    return path


def test_every_part_works_as_an_object(
    parts: dict[str, Any],
    notes: Path,
    tmp_path: Path,
    toy_backbone: Path,
    toy_config: Callable[..., Config],
    one_thread: None,
) -> None:
    corpus = orm.Corpus.build(
        parts["Lines"](str(notes)),
        tmp_path / "corpus",
        backbone=str(toy_backbone),
        max_passage_tokens=40,
        tagger=parts["Capitals"](),
    )
    title = corpus[0].title
    first_words = {corpus.tokenizer().decode(corpus.body_tokens(0)[a:b]) for a, b, _ in corpus.spans(0)}
    assert title.lower() in first_words, "the tagger's spans are stored"
    config = toy_config("pretrain.eval_steps=1")
    model = orm.Realm.from_backbone(config.model, corpus.tokenizer())
    index = orm.Index.build(model, corpus, searcher=parts["HalfPrecision"])
    hits = index.search(torch.ones(2, 16), k=3, exclude=[[0], []])
    assert hits.id_BK.shape == (2, 3)
    assert 0 not in hits.passages()[0]
    callback = parts["BestRecall"]()
    joint = orm.tasks.Joint(corpus, index, loss=parts["decided"], config=config)
    outcome = orm.Trainer(model, joint, tmp_path / "training", num_steps=2, callbacks=[callback]).train()
    assert callback.best[0] == max(outcome.first["recall@5"], outcome.last["recall@5"])
    assert joint.loss_name.endswith("decided")


def test_every_part_works_by_name_on_the_command_line(
    parts: dict[str, Any],
    notes: Path,
    tmp_path: Path,
    toy_config: Callable[..., Config],
    as_settings: Callable[[Config], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(parts["BestRecall"], "on_train_begin", lambda self, trainer: made.append(trainer.task.name))
    settings = as_settings(
        toy_config(
            "corpus.max_passage_tokens=40",
            "corpus.tagger=rules:dates,entities,percentages",
            "masking.kinds=entity,date,number",
            "pretrain.loss=decided",
            "index.searcher=half",
            "callbacks=best_recall",
        )
    )
    folder = tmp_path / "run"
    assert main(["run", f"lines:{notes}", "--name", str(folder), *settings]) == 0
    run = Run.open(folder)
    assert run.config.pretrain.loss == "decided"
    corpus = orm.Corpus.open(run.corpus)
    assert corpus.manifest["source"]["kind"] == "lines"
    assert "rules:dates,entities,percentages" in corpus.settings["tagger"]
    assert any(kind == "number" for i in range(len(corpus)) for _, _, kind in corpus.spans(i))
    rows = [json.loads(line) for line in (folder / "pretrain" / "metrics.jsonl").read_text().splitlines()]
    for row in (row for row in rows if row["split"] == "train"):
        assert row["objective"] == pytest.approx(row["loss"] + 0.1 * row["entropy"], rel=1e-4)
    assert made == ["warm_start", "joint", "openqa"]
    assert main(["ask", "--run", str(folder), "Who founded the city?"]) == 0


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("pretrain.loss=decidedd", "did you mean decided"),
        ("index.searcher=exakt", "did you mean exact"),
        ("callbacks=tensorbord", "did you mean tensorboard"),
        ("corpus.tagger=capitels", "did you mean capitals"),
    ],
)
def test_a_misspelt_name_is_refused_with_a_suggestion(
    parts: dict[str, Any], notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, said: str
) -> None:
    assert main(["run", str(notes), "--name", str(tmp_path / "run"), "--set", setting]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
