"""Closed-book answering: the masked question, the likeliest filling, and training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch

from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.model.realm import Realm
from openrealm.train.tasks.closed_book import ClosedBook, answer_closed_book, masked_question
from openrealm.train.trainer import Trainer
from openrealm.types import Question


def test_the_masks_follow_the_question_and_there_is_no_passage(
    toy_corpus: Corpus, toy_config: Callable[..., Config]
) -> None:
    special, settings = toy_corpus.specials, toy_config("finetune.max_query_tokens=8").finetune
    row, places = masked_question(toy_corpus, [20, 21], 2, settings)
    assert row.ids.tolist() == [special.cls, 20, 21, special.mask, special.mask, special.sep, special.sep]
    assert places == [3, 4]
    row, places = masked_question(toy_corpus, list(range(20, 40)), 2, settings)
    assert row.ids.tolist()[:5] == [special.cls, 20, 21, 22, 23]
    assert row.ids[places].tolist() == [special.mask] * 2
    row, places = masked_question(toy_corpus, list(range(20, 40)), 9, settings)
    assert row.ids.tolist() == [special.cls, *[special.mask] * 9, special.sep, special.sep]


@torch.no_grad()
def test_the_answer_is_the_likeliest_filling_of_any_length(
    toy_realm: Callable[..., Realm],
    toy_config: Callable[..., Config],
    toy_questions: list[Question],
    toy_corpus: Corpus,
    engine: Engine,
) -> None:
    model, settings = toy_realm().eval(), toy_config("finetune.max_span_tokens=3").finetune
    tokenizer = toy_corpus.tokenizer()
    answers = answer_closed_book(model, toy_corpus, toy_questions[:4], settings, engine)
    for question, answer in zip(toy_questions[:4], answers, strict=True):
        best, text = -float("inf"), ""
        for num_masks in (1, 2, 3):
            row, places = masked_question(toy_corpus, tokenizer.encode(question.text)[0], num_masks, settings)
            ids_1J, mean_1 = model.reader.fill([row], [places])
            if float(mean_1) > best:
                best, text = float(mean_1), tokenizer.decode(ids_1J[0].tolist())
        assert answer == text


def test_answers_to_training_questions_are_memorised(
    tmp_path: Path,
    toy_realm: Callable[..., Realm],
    toy_config: Callable[..., Config],
    toy_corpus: Corpus,
    toy_questions: list[Question],
    engine: Engine,
) -> None:
    changes = ["model.dropout=0", "finetune.num_steps=150", "finetune.learning_rate=3e-3", "finetune.max_span_tokens=2"]
    config, model = toy_config(*changes), toy_realm(*changes)
    towers = model.retriever.query_tower.digest()
    questions = [*toy_questions[:3], Question("unanswered", ("",))]
    Trainer(model, ClosedBook(toy_corpus, questions, config=config), tmp_path, engine=engine).train()
    losses = [json.loads(line)["loss"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert len(losses) == 150
    assert losses[-1] < 0.5 < losses[0]
    assert model.retriever.query_tower.digest() == towers
    answers = answer_closed_book(model, toy_corpus, toy_questions[:3], config.finetune, engine)
    assert answers == [question.answers[0].lower() for question in toy_questions[:3]]
