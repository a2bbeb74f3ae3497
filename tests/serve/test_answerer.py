"""Answers cite their passages, with probabilities and utilities checked against direct computations."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from openrealm.corpus.corpus import Corpus
from openrealm.errors import BadInput, Mismatch, MissingStage
from openrealm.run import artefacts
from openrealm.run.folder import Run
from openrealm.serve.answerer import Answerer
from openrealm.types import NULL, ReadPassage

QUESTION = "What is the capital of the country?"


@pytest.fixture(scope="module")
def answerer(answering_run: Path) -> Answerer:
    return Answerer.open(answering_run)


def test_an_answer_is_a_span_of_the_passage_it_cites(answerer: Answerer, answering_run: Path) -> None:
    answer = answerer.ask(QUESTION)
    assert answer.source is not None
    assert answer.text == answer.source.answer
    passages = [answer.source, *answer.runners_up]
    assert len(passages) == 3, "finetune.num_candidates passages are read"
    corpus = artefacts.open_corpus(Run.open(answering_run))
    stored = {corpus.passage(i).id: corpus.passage(i) for i in range(len(corpus))}
    for passage in passages:
        assert passage.text == stored[passage.passage_id].text
        assert passage.title == stored[passage.passage_id].title
        assert passage.text[passage.answer_start : passage.answer_end] == passage.answer
    assert [p.score for p in passages] == sorted((p.score for p in passages), reverse=True)


def test_the_probabilities_of_the_passages_read_sum_to_one(answerer: Answerer) -> None:
    answer = answerer.ask(QUESTION)
    assert answer.source is not None
    shares = [answer.source.probability, *(p.probability for p in answer.runners_up)]
    assert math.isclose(sum(shares), 1, abs_tol=1e-5)
    assert all(0 < share < 1 for share in shares)


def log_probability(corpus: Corpus, run: Run, question: str, passage: int, answer: Sequence[int]) -> float:
    """log p(y|z,x), mask by mask, from the hidden states of one row."""
    model = artefacts.open_model(run, "finetune_realm").eval()
    tokens, _ = corpus.tokenizer().encode(question)
    query = [*tokens, *[corpus.specials.mask] * len(answer)]
    row, _ = corpus.joint_row(query, passage, run.config.pretrain.max_joint_tokens)
    with torch.inference_mode():
        _, hidden_1TH, _ = next(model.reader.encoder.chunks([row]))
        logp_JV = model.reader.head(hidden_1TH[0], model.reader.encoder.word_embeddings()).log_softmax(dim=1)
    return sum(float(logp_JV[1 + len(tokens) + j, piece]) for j, piece in enumerate(answer))


def test_utility_is_what_the_passage_adds_to_the_answers_log_probability(
    answerer: Answerer, answering_run: Path
) -> None:
    run = Run.open(answering_run)
    corpus = artefacts.open_corpus(run)
    numbers = {corpus.passage(i).id: i for i in range(len(corpus))}
    answer = answerer.ask(QUESTION)
    assert answer.source is not None
    for read in (answer.source, *answer.runners_up):
        number = numbers[read.passage_id]
        inside = (corpus.token_offsets(number)[:, 0] >= read.answer_start) & (
            corpus.token_offsets(number)[:, 1] <= read.answer_end
        )
        pieces = np.asarray(corpus.body_tokens(number))[inside].tolist()
        with_passage = log_probability(corpus, run, QUESTION, number, pieces)
        without = log_probability(corpus, run, QUESTION, NULL, pieces)
        assert read.retrieval_utility == pytest.approx(with_passage - without, abs=1e-4)


def test_the_same_question_gets_the_same_answer_whatever_its_spaces(answerer: Answerer, one_thread: None) -> None:
    assert answerer.ask(f"  {QUESTION.replace(' ', '   ')}  ") == answerer.ask(QUESTION)


def test_a_list_of_questions_returns_a_list_of_answers(answerer: Answerer) -> None:
    questions = [QUESTION, "Who founded the city?", QUESTION]
    answers = answerer.ask(questions)
    assert [answer.question for answer in answers] == questions
    assert [a.text for a in answers] == [answerer.ask(question).text for question in questions]
    assert answerer.ask([]) == []
    with pytest.raises(BadInput, match="question is empty"):
        answerer.ask([QUESTION, ""])


@pytest.mark.parametrize("question", ["", "   ", "\n\t", "\u200b\u0000"])
def test_an_empty_question_is_refused(answerer: Answerer, question: str) -> None:
    with pytest.raises(BadInput, match="question is empty"):
        answerer.ask(question)


def test_a_question_longer_than_the_encoder_is_shortened_and_that_is_said(
    answerer: Answerer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answerer.ask("the " * 31).source is not None, "longer than in training"
    assert "the rest is left out" not in capsys.readouterr().err
    assert answerer.ask("the " * 10_000).source is not None
    assert "the rest is left out" in capsys.readouterr().err


@pytest.mark.parametrize("question", ["[MASK] [SEP] [CLS]", "¿Qué?", "\ud800 \u202e x", "<script>", "🜁 🜂"])
def test_any_other_text_is_answered(answerer: Answerer, question: str) -> None:
    answer = answerer.ask(question)
    assert answer.source is not None
    assert json.dumps(dataclasses.asdict(answer))


def test_bm25_answers_from_the_passage_with_the_words_of_the_question(answering_run: Path) -> None:
    corpus = artefacts.open_corpus(Run.open(answering_run))
    passage = corpus.passage(10)
    answer = Answerer.open(answering_run, "bm25").ask(passage.text[:60])
    assert answer.source is not None
    best = max((answer.source, *answer.runners_up), key=_probability)
    assert best.passage_id == passage.id
    assert answer.index_version == "bm25"


def _probability(passage: ReadPassage) -> float:
    return passage.probability


@pytest.mark.parametrize("system", ["closed_book", "other"])
def test_a_system_that_reads_no_passages_is_refused(answering_run: Path, system: str) -> None:
    with pytest.raises(BadInput, match=f"no system '{system}' that reads passages"):
        Answerer.open(answering_run, system)


def test_a_missing_stage_is_named_with_its_command(answering_run: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingStage, match=r"finetune --system warm_start"):
        Answerer.open(answering_run, "warm_start")
    copy = tmp_path / "copy"
    shutil.copytree(answering_run, copy)
    shutil.rmtree(copy / "index" / "versions")
    with pytest.raises(MissingStage, match=r"openrealm index --run"):
        Answerer.open(copy)
    shutil.rmtree(copy / "finetune")
    with pytest.raises(MissingStage, match=r"the REALM fine-tuning stage has not been run; run `openrealm run"):
        Answerer.open(copy)


def test_a_run_whose_settings_have_changed_is_refused(answering_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(answering_run, copy)
    config = json.loads((copy / "config.json").read_text())
    config["model"]["temperature"] = 0.5
    del config["sha256"]  # as the error about an edited file advises
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(Mismatch, match="run with other settings"):
        Answerer.open(copy)
