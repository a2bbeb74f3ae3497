"""Questions about the toy corpus, and trainers of joint pre-training in a given folder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from openrealm.callbacks import Callback
from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.index.index import Index, versions
from openrealm.model.realm import Realm
from openrealm.train.tasks.joint import Joint
from openrealm.train.trainer import Trainer
from openrealm.types import Article, Question

CPU = Engine("cpu", False)


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Small matrices only."""


@pytest.fixture(scope="session")
def engine() -> Engine:
    return CPU


@pytest.fixture(scope="session")
def toy_questions(toy_articles: list[Article]) -> list[Question]:
    """What is the capital of each country?"""
    questions = []
    for article in toy_articles[:-1]:
        found = re.search(r"capital of (\w+) is (\w+)", article.text)
        assert found is not None
        questions.append(Question(f"what is the capital of {found[1]}", (found[2],)))
    return questions


class Stopped(Exception):
    """Raised to stop training between two steps."""


class StopAt(Callback):
    """Raises `error` after `step` steps."""

    def __init__(self, step: int, error: type[BaseException] = Stopped) -> None:
        self.step, self.error = step, error

    def on_step_begin(self, trainer: Trainer) -> None:
        if trainer.step == self.step:
            raise self.error


MetricRows = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="session")
def metric_rows() -> MetricRows:
    """`metric_rows(trainer, "train")`: the lines of metrics.jsonl; of one split, if given."""

    def rows(trainer: Trainer, split: str = "") -> list[dict[str, Any]]:
        lines = (trainer.folder / "metrics.jsonl").read_text().splitlines()
        return [row for row in map(json.loads, lines) if split in ("", row["split"])]

    return rows


@pytest.fixture(scope="session")
def stop_at() -> type[StopAt]:
    """`stop_at(3)`: a callback that raises Stopped before the fourth step."""
    return StopAt


@pytest.fixture(scope="session")
def stopped() -> type[Exception]:
    return Stopped


MakeTrainer = Callable[..., Trainer]


@pytest.fixture(scope="session")
def make_trainer(toy_config: Callable[..., Config], toy_realm: Callable[..., Realm], toy_corpus: Corpus) -> MakeTrainer:
    """`make_trainer(folder, "pretrain.num_steps=6", seed=1)`: joint training of a new model.

    Its index of step 0 is in folder/index. `loss` and `callbacks` are passed on; `kind` is the class of the task.
    """

    def make(
        folder: Path,
        *changes: str,
        seed: int = 0,
        kind: type[Joint] = Joint,
        loss: Any = None,
        callbacks: Sequence[Callback | str] = (),
    ) -> Trainer:
        config, model = toy_config(*changes), toy_realm(*changes, seed=seed)
        if not versions(folder / "index"):
            Index.build(model, toy_corpus, folder / "index", engine=CPU)
        index = Index.open(versions(folder / "index")[0], toy_corpus)
        task = kind(toy_corpus, index, config=config, loss=loss, index_folder=folder / "index", refresh_at_end=False)
        return Trainer(model, task, folder / "run", engine=CPU, seed=config.seed, callbacks=callbacks)

    return make


MakeOrder = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def order(toy_config: Callable[..., Config], toy_corpus_folder: Path, toy_questions: list[Question]) -> MakeOrder:
    """`order("joint", folder, "pretrain.batch_size=2")`: what `all_tasks.trainer_of` takes."""

    def make(task: str, folder: Path, *changes: str) -> dict[str, Any]:
        given = ["pretrain.batch_size=2", "pretrain.eval_steps=20", "model.dropout=0.1", *changes]
        return {
            "task": task,
            "folder": str(folder),
            "config": toy_config(*given).to_dict(),
            "corpus": str(toy_corpus_folder),
            "questions": [[q.text, list(q.answers)] for q in toy_questions],
        }

    return make
