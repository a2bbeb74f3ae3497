"""Trainers of all tasks on the toy corpus; as a program, `all_tasks.py ORDER.json` runs those that an order names.

They are deterministic on one thread, so that a resumed training can be compared with an uninterrupted one. Started by
torchrun, all processes train together.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from openrealm import files
from openrealm.base.prepare import tiny
from openrealm.base.settings import BaseSettings
from openrealm.base.texts import Texts
from openrealm.callbacks import Callback
from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.index.bm25 import Bm25
from openrealm.index.index import Index
from openrealm.masking.conll import Sentence
from openrealm.model.realm import Realm
from openrealm.model.state import unique_state
from openrealm.qa.matching import PassageMatching
from openrealm.qa.pool import Item
from openrealm.qa.settings import QaSettings
from openrealm.qa.task import SpanReading
from openrealm.qa.train import new_model
from openrealm.qa.train import tiny as tiny_qa
from openrealm.train.answers import AnswerFinder
from openrealm.train.ranks import ALONE, Ranks, all_ranks
from openrealm.train.spans import Bm25Finder
from openrealm.train.task import Task
from openrealm.train.tasks.closed_book import ClosedBook
from openrealm.train.tasks.joint import Joint
from openrealm.train.tasks.openqa import OpenQA
from openrealm.train.tasks.tagger import Tagger
from openrealm.train.tasks.warm_start import WarmStart
from openrealm.train.trainer import Trainer
from openrealm.types import Question

CPU = Engine("cpu", False)


class World:
    """The contents of an order: configuration, corpus, questions and folder of the training."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.config = Config.from_dict(order["config"])
        self.corpus = Corpus.open(Path(order["corpus"]))
        self.questions = [Question(text, tuple(answers)) for text, answers in order["questions"]]
        self.folder = Path(order["folder"])

    def realm(self) -> Realm:
        torch.manual_seed(self.config.seed)
        return Realm.from_backbone(self.config.model, self.corpus.tokenizer())


def warm_start(world: World) -> tuple[Any, Task[Any]]:
    return world.realm(), WarmStart(world.corpus, config=world.config)


def joint(world: World) -> tuple[Any, Task[Any]]:
    model = world.realm()
    index = Index.build(model, world.corpus, engine=CPU)
    return model, Joint(world.corpus, index, config=world.config, ict_batch=4, refresh_at_end=False)


def joint_of_answerable(world: World) -> tuple[Any, Task[Any]]:
    model = world.realm()
    settings = {"search_batch_size": 8, "final_unanswerable_share": 0.5, "recurring_batch": 4}
    index = Index.build(model, world.corpus, engine=CPU)
    return model, Joint(world.corpus, index, config=world.config, refresh_at_end=False, **settings)


def openqa(world: World) -> tuple[Any, Task[Any]]:
    model = world.realm()
    return model, OpenQA(
        world.corpus, Index.build(model, world.corpus, engine=CPU), world.questions, config=world.config
    )


def bm25(world: World) -> tuple[Any, Task[Any]]:
    finder = Bm25Finder(Bm25.build(world.corpus))
    return world.realm(), OpenQA(world.corpus, None, world.questions, finder=finder, config=world.config)


def closed_book(world: World) -> tuple[Any, Task[Any]]:
    return world.realm(), ClosedBook(world.corpus, world.questions, config=world.config)


def tagger(world: World) -> tuple[Any, Task[Any]]:
    documents = [
        [Sentence(("The", "capital", "of", title, "is", "old"), ("O", "O", "O", "B-LOC", "O", "O"))]
        for title in (world.corpus.passage(i).title for i in range(0, 60, 2))
    ]
    backbone = world.config.model.backbone
    task = Tagger(documents, backbone=backbone, num_epochs=8, batch_size=8, learning_rate=1e-3)
    return task.new_model(), task


def base(world: World) -> tuple[Any, Task[Any]]:
    settings = tiny(BaseSettings()).replace(num_steps=30, vocab_size=world.corpus.tokenizer().vocab_size)
    texts = Texts([world.corpus], settings.heldout_rate, settings.seed)
    from openrealm.base.task import BaseEncoding

    task = BaseEncoding(texts, settings)
    return task.new_model(), task


def _questions_with_passages(world: World) -> tuple[list[Item], QaSettings]:
    finder = AnswerFinder(world.corpus)
    items = []
    for question in world.questions:
        right, sought = sorted(finder.passages_for(question)), finder.sought(question)
        spans = tuple((n, *span) for n in right for span in finder.correct_spans(n, sought, 6))
        negatives = tuple(n for n in range(8) if n not in right)
        items.append(Item(np.array(world.corpus.tokenizer().encode(question.text)[0]), spans, negatives))
    settings = tiny_qa(QaSettings()).replace(backbone=world.config.model.backbone, projection_dim=32)
    return items, settings


def span_reading(world: World) -> tuple[Any, Task[Any]]:
    items, settings = _questions_with_passages(world)
    return new_model(settings), SpanReading(world.corpus, [items[8:]], items[:8], settings)


def passage_matching(world: World) -> tuple[Any, Task[Any]]:
    items, settings = _questions_with_passages(world)
    settings = settings.replace(tower_steps=30, tower_batch_size=8)
    return new_model(settings), PassageMatching(world.corpus, [items[8:]], items[:8], settings)


_MAKERS = (
    warm_start,
    joint,
    joint_of_answerable,
    openqa,
    bm25,
    closed_book,
    tagger,
    base,
    span_reading,
    passage_matching,
)
TASKS: dict[str, Callable[[World], tuple[Any, Task[Any]]]] = {make.__name__: make for make in _MAKERS}


def trainer_of(order: dict[str, Any], callbacks: Sequence[Callback] = (), ranks: Ranks = ALONE) -> Trainer:
    """The trainer described by an order, which saves a checkpoint after every second step by default."""
    world = World(order)
    model, task = TASKS[order["task"]](world)
    schedule = {"checkpoint_steps": 2, "log_steps": 3, "num_steps": 30} | order.get("schedule", {})
    return Trainer(model, task, world.folder, engine=CPU, callbacks=callbacks, ranks=ranks, **schedule)


def without_dropout(model: torch.nn.Module) -> None:
    """Turn off what differs between processes by intention."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "dropout_prob"):
            module.dropout_prob = 0.0


def train_together(order: dict[str, Any]) -> None:
    """Train the tasks of an order, each in a folder of its own; a task that was interrupted is resumed."""
    with all_ranks() as ranks:
        for name in order["tasks"]:
            trainer = trainer_of({**order, "task": name, "folder": f"{order['folder']}/{name}"}, ranks=ranks)
            if not order["dropout"]:
                without_dropout(trainer.model)
            trainer.train(resume=True)
            if ranks.is_first:
                files.write_safetensors(trainer.folder / "weights.safetensors", unique_state(trainer.model))


if __name__ == "__main__":
    torch.set_num_threads(1)
    given = json.loads(Path(sys.argv[1]).read_text())
    if "tasks" in given:
        train_together(given)
    else:
        trainer_of(given).train()
