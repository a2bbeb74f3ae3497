"""Fine-tuning on questions: correct spans and passages, trained and frozen parameters."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.errors import BadInput, Mismatch
from openrealm.index.bm25 import Bm25
from openrealm.index.index import Index
from openrealm.model import marginal
from openrealm.model.realm import Realm
from openrealm.train.answers import AnswerFinder
from openrealm.train.spans import Bm25Finder, SpanScores
from openrealm.train.tasks.openqa import OpenQA, openqa_losses
from openrealm.train.trainer import Trainer
from openrealm.types import Question


@pytest.fixture(scope="module")
def answers(toy_corpus: Corpus) -> AnswerFinder:
    return AnswerFinder(toy_corpus)


def trained(config: Config, model: Realm, corpus: Corpus, questions: list[Question], folder: Path) -> OpenQA:
    """Fine-tune `model` with an index of its own vectors."""
    engine = Engine("cpu", False)
    task = OpenQA(corpus, Index.build(model, corpus, engine=engine), questions, config=config)
    Trainer(model, task, folder, engine=engine, seed=config.seed).train()
    return task


def rows_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_losses_count_all_spans_and_passages_with_an_answer(
    toy_corpus: Corpus, toy_questions: list[Question], answers: AnswerFinder
) -> None:
    torch.manual_seed(0)
    questions = [toy_questions[0], toy_questions[3], Question("?", ("zebra",))]
    id_BE = torch.tensor([[0, 1, 2, 4], [0, 6, 7, 8], [0, 1, 2, 3]])
    score_BE, span = torch.randn(3, 4), torch.randn(3, 3, 25, 6)
    valid = torch.zeros(3, 3, 25, 6, dtype=torch.bool)
    right = torch.zeros_like(valid)
    has = torch.zeros(3, 4, dtype=torch.bool)
    for b, question in enumerate(questions):
        for k, passage in enumerate(id_BE[b].tolist()):
            words = [toy_corpus.tokenizer().token(int(t)) for t in toy_corpus.body_tokens(passage)]
            has[b, k] = question.answers[0].lower() in words
            for first in range(len(words)) if k < 3 else ():
                for width in range(min(6, len(words) - first)):
                    valid[b, k, first, width] = True
                    right[b, k, first, width] = words[first : first + width + 1] == [question.answers[0].lower()]
    assert right.flatten(1).sum(dim=1).tolist() == [2, 2, 0]
    scores = SpanScores(span, valid, score_BE[:, :3], id_BE[:, :3])
    reader_B, early_B = openqa_losses(scores, score_BE, id_BE, questions, answers, early=True)
    expected_B = marginal.span_reader_loss(span.flatten(2), right.flatten(2), valid.flatten(2), score_BE[:, :3])
    torch.testing.assert_close(reader_B, expected_B)
    torch.testing.assert_close(early_B, marginal.early_loss(score_BE, has))
    assert float(reader_B[2]) == float(early_B[2]) == 0
    _, off_B = openqa_losses(scores, score_BE, id_BE, questions, answers, early=False)
    assert off_B.tolist() == [0, 0, 0]


@pytest.mark.parametrize("shared", [True, False])
def test_query_tower_and_reader_are_trained_and_the_index_is_fixed(
    tmp_path: Path,
    toy_realm: Callable[..., Realm],
    toy_config: Callable[..., Config],
    toy_questions: list[Question],
    toy_corpus: Corpus,
    shared: bool,
) -> None:
    changes = [f"model.shared_towers={shared}", "model.dropout=0", "finetune.num_steps=12", "finetune.batch_size=2"]
    # An untrained retriever finds little, so read all passages to give each question its positives.
    wide = ["finetune.num_candidates=1000", "finetune.early_candidates=1000"]
    config, model = toy_config(*changes, *wide, "model.freeze_embeddings=true"), toy_realm(*changes)
    passages, queries = (tower.digest() for tower in (model.retriever.passage_tower, model.retriever.query_tower))
    task = trained(config, model, toy_corpus, toy_questions[:2], tmp_path)
    assert task.index is not None
    task.index.check(model, toy_corpus)
    assert model.retriever.passage_tower.digest() == passages, "E_doc and the index do not change"
    assert model.retriever.query_tower.digest() != queries
    assert not model.training
    embeddings = model.retriever.query_tower.encoder.word_embeddings()
    assert torch.equal(embeddings, model.retriever.passage_tower.encoder.word_embeddings())
    rows = rows_of(tmp_path)
    assert [row["step"] for row in rows] == list(range(1, 13))
    first, last = rows[:3], rows[-3:]
    for key in ("reader_loss", "early_loss"):
        assert sum(row[key] for row in last) < sum(row[key] for row in first), key


def test_the_query_tower_can_be_frozen(
    tmp_path: Path,
    toy_realm: Callable[..., Realm],
    toy_config: Callable[..., Config],
    toy_questions: list[Question],
    toy_corpus: Corpus,
) -> None:
    config, model = toy_config("finetune.train_query_tower=false"), toy_realm()
    queries, reader = model.retriever.query_tower.digest(), model.reader.state_dict()
    before = {name: tensor.clone() for name, tensor in reader.items()}
    trained(config, model, toy_corpus, toy_questions, tmp_path)
    assert model.retriever.query_tower.digest() == queries
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.reader.state_dict().items())


def test_with_bm25_its_weight_and_the_reader_are_trained(
    tmp_path: Path,
    toy_realm: Callable[..., Realm],
    toy_config: Callable[..., Config],
    toy_questions: list[Question],
    toy_corpus: Corpus,
) -> None:
    config, model = toy_config(), toy_realm()
    digest = model.retriever.query_tower.digest()
    finder = Bm25Finder(Bm25([toy_corpus.passage(i).text for i in range(toy_corpus.num_passages)]))
    task = OpenQA(toy_corpus, None, toy_questions, finder=finder, config=config)
    Trainer(model, task, tmp_path, engine=Engine("cpu", False)).train()
    assert task.state() == {"weight": float(finder.weight.detach())}
    assert float(finder.weight.detach()) != pytest.approx(0.1, abs=1e-6)
    assert model.retriever.query_tower.digest() == digest
    rows = rows_of(tmp_path)
    assert [row["early_loss"] for row in rows] == [0.0] * 4
    assert all(row["reader_loss"] > 0 for row in rows)
    assert rows[0]["no_positive"] == 0, "BM25 finds the passage about the country"


def test_the_same_seed_gives_the_same_weights(
    tmp_path: Path,
    toy_realm: Callable[..., Realm],
    toy_config: Callable[..., Config],
    toy_questions: list[Question],
    toy_corpus: Corpus,
) -> None:
    results = []
    for name in ("one", "two"):
        model = toy_realm()
        trained(toy_config(), model, toy_corpus, toy_questions, tmp_path / name)
        results.append(model.state_dict())
    assert all(torch.equal(tensor, results[1][name]) for name, tensor in results[0].items())


def test_missing_or_mismatched_parts_are_refused(
    tmp_path: Path,
    toy_realm: Callable[..., Realm],
    toy_config: Callable[..., Config],
    toy_questions: list[Question],
    toy_corpus: Corpus,
) -> None:
    with pytest.raises(BadInput, match="no questions to train on"):
        OpenQA(toy_corpus, None, [])
    with pytest.raises(BadInput, match="needs an index or a finder"):
        OpenQA(toy_corpus, None, toy_questions)
    engine = Engine("cpu", False)
    task = OpenQA(toy_corpus, Index.build(toy_realm(seed=1), toy_corpus, engine=engine), toy_questions)
    with pytest.raises(Mismatch, match="another encoder"):
        Trainer(toy_realm(), task, tmp_path, engine=engine)
