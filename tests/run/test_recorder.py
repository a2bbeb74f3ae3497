"""What a training records besides its metrics: when, how much, and what was retrieved, also after an interruption."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from openrealm.callbacks import Callback
from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.index.index import Index
from openrealm.model.realm import Realm
from openrealm.run import recorder
from openrealm.run.recorder import Recorder
from openrealm.run.retrieved import read_heldout, recorded, recorded_utilities
from openrealm.train.tasks.joint import Joint
from openrealm.train.trainer import Trainer
from openrealm.types import NULL, Article, Question

CPU = Engine("cpu", False)
MakeTrainer = Callable[..., Trainer]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def make_trainer(
    tmp_path: Path, toy_config: Callable[..., Config], toy_realm: Callable[..., Realm], toy_corpus: Corpus
) -> MakeTrainer:
    """Joint pre-training of six steps in tmp_path, whose index is refreshed once the worker is done."""

    def make(*callbacks: Callback) -> Trainer:
        config = toy_config("pretrain.num_steps=6", "pretrain.eval_steps=3", "pretrain.checkpoint_steps=4")
        model = toy_realm()
        task = Joint(toy_corpus, Index.build(model, toy_corpus, engine=CPU), config=config, refresh_at_end=False)
        return Trainer(model, task, tmp_path, engine=CPU, callbacks=callbacks)

    return make


@pytest.fixture
def dev(toy_articles: list[Article]) -> list[Question]:
    return [Question(f"what is in {article.title}", (article.text.split()[0],)) for article in toy_articles[:7]]


class NewIndexAt(Callback):
    """Rebuilds the index in this process before a step, as a refresh worker would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, trainer: Trainer) -> None:
        task = trainer.task
        if trainer.step == self.step:
            assert isinstance(task, Joint)
            task.refresher.index = Index.build(trainer.model, task.corpus, step=trainer.step, engine=CPU)


class StopAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, trainer: Trainer) -> None:
        if trainer.step == self.step:
            raise KeyboardInterrupt


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_candidates_are_recorded_at_evaluations_and_for_each_new_version(
    make_trainer: MakeTrainer, tmp_path: Path, toy_corpus: Corpus
) -> None:
    trainer = make_trainer(NewIndexAt(4), Recorder())
    outcome = trainer.train()
    rows = lines(tmp_path / "retrieved.jsonl")
    assert [(row["step"], "utility" in row) for row in rows] == [(0, True), (3, True), (5, False), (6, True)]
    assert rows[0]["index"] == rows[1]["index"] != rows[2]["index"] == rows[3]["index"]
    heldout = read_heldout(tmp_path)
    assert [query["query"].count("[MASK]") > 0 for query in heldout["queries"]] == [True] * 8
    for row in rows:
        assert [len(passages) for passages in row["passages"]] == [4] * 8
        assert all(passages[0] == NULL for passages in row["passages"])
        assert all(sum(values) == pytest.approx(1, abs=1e-3) for values in row["probability"])
    utilities = recorded_utilities(tmp_path, 8)
    for which, found in (("first", outcome.first), ("last", outcome.last)):
        mean = sum(float(utility[which] or 0.0) for utility in utilities) / 8
        assert mean == pytest.approx(found["retrieval_utility"], abs=2e-3)
    shown = recorded(tmp_path, heldout, [2, 5], toy_corpus, "toy")
    assert [query["query"] for query in shown["queries"]] == [heldout["queries"][n]["query"] for n in (2, 5)]
    assert [record["label"] for record in shown["queries"][0]["records"]] == ["before training", "step 3", "step 6"]
    first = shown["queries"][0]["records"][0]["candidates"]
    texts = [shown["passages"][number]["text"] if number >= 0 else "" for number, _, _ in first]
    assert texts == [toy_corpus.passage(n).text if n != NULL else "" for n in rows[0]["passages"][2]]


def test_passages_of_another_corpus_are_not_looked_up(
    make_trainer: MakeTrainer, tmp_path: Path, toy_corpus: Corpus
) -> None:
    make_trainer(Recorder()).train()
    heldout = read_heldout(tmp_path)
    for corpus, known in ((None, heldout), (toy_corpus, {**heldout, "corpus": "another"})):
        shown = recorded(tmp_path, known, [0], corpus, "toy")  # type: ignore[arg-type]
        assert all(passage["title"].startswith("passage ") for passage in shown["passages"])
        assert not any(passage["text"] for passage in shown["passages"])


def test_a_line_that_is_being_written_is_left_out(
    make_trainer: MakeTrainer, tmp_path: Path, toy_corpus: Corpus
) -> None:
    make_trainer(Recorder()).train()
    path, heldout = tmp_path / "retrieved.jsonl", read_heldout(tmp_path)
    whole = recorded(tmp_path, heldout, [0], toy_corpus, "toy")
    path.write_bytes(path.read_bytes() + b'{"step":9,"index":"00000009-x","passages":[[1')
    assert recorded(tmp_path, heldout, [0], toy_corpus, "toy") == whole


def test_time_memory_and_recall_on_dev_questions_are_recorded(
    make_trainer: MakeTrainer, tmp_path: Path, dev: list[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "SECONDS_BETWEEN_ROWS", 0.0)
    make_trainer(Recorder(dev)).train()
    rows = lines(tmp_path / "progress.jsonl")
    assert rows[0]["num_steps"] == 6
    assert [row["step"] for row in rows] == [0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 6]
    assert [row["share_done"] for row in rows[-3:]] == [1, 1, 1]
    measured = [row for row in rows if "num_dev" in row]
    assert [(row["step"], row["num_dev"]) for row in measured] == [(0, 7), (3, 7), (6, 7)]
    assert all(0 <= row["dev_recall@5"] <= 1 for row in measured)


def test_recording_does_not_change_training(make_trainer: MakeTrainer, tmp_path: Path, dev: list[Question]) -> None:
    without = make_trainer(NewIndexAt(4))
    without.train()
    recorded_too = make_trainer(NewIndexAt(4), Recorder(dev))
    recorded_too.train()
    for one, other in zip(without.model.parameters(), recorded_too.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_came_after_the_checkpoint_is_recorded_anew_on_resume(
    make_trainer: MakeTrainer, tmp_path: Path, dev: list[Question]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        make_trainer(StopAt(5), Recorder(dev)).train()
    files = tmp_path / "progress.jsonl", tmp_path / "retrieved.jsonl"
    for path in files:
        path.write_text(path.read_text() + '{"step": 5}\n')
    make_trainer(Recorder(dev)).train(resume=True)
    progress, retrieved = map(lines, files)
    assert [row["step"] for row in retrieved] == [0, 3, 6]
    assert [row["step"] for row in progress if "num_steps" in row] == [0, 4]
    assert [row["step"] for row in progress if "num_dev" in row] == [0, 3, 6]
    make_trainer(Recorder()).train()
    assert [row["step"] for row in lines(files[1])] == [0, 3, 6], "training starts over"
    assert [row["step"] for row in lines(files[0]) if "num_steps" in row] == [0]
