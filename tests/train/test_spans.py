"""Reading retrieved passages: candidates in order, and answers with the offsets of their text."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.index.bm25 import Bm25
from openrealm.index.index import Index
from openrealm.model.realm import Realm
from openrealm.train.bounds import AnswerBounds, admissible_spans
from openrealm.train.spans import (
    Bm25Finder,
    DenseFinder,
    SpanScores,
    TokenizedQuestion,
    answer_all,
    best_spans,
    read_spans,
    tokenize,
)
from openrealm.types import Question


@pytest.fixture(scope="module")
def model(toy_realm: Callable[..., Realm]) -> Realm:
    model = toy_realm("model.temperature=0.5")
    model.max_span_tokens = 6
    torch.manual_seed(3)
    model.add_span_reader()
    return model.eval()


@pytest.fixture(scope="module")
def finder(model: Realm, toy_corpus: Corpus, engine: Engine) -> DenseFinder:
    return DenseFinder(Index.build(model, toy_corpus, engine=engine))


def tokenized(corpus: Corpus, questions: list[Question]) -> list[TokenizedQuestion]:
    return tokenize([question.text for question in questions], corpus.tokenizer())


def test_dense_candidates_are_the_best_in_the_index_with_live_scores(
    model: Realm, finder: DenseFinder, toy_corpus: Corpus, toy_questions: list[Question]
) -> None:
    asked = tokenized(toy_corpus, toy_questions[:5])
    score_BK, id_BK = finder.find(model, toy_corpus, asked, 7)
    assert score_BK.requires_grad
    query_BD = model.retriever.encode_query([toy_corpus.query_row(question.tokens, 32) for question in asked]).detach()
    for b in range(5):
        all_N = finder.index.vector_ND @ query_BD[b]
        assert id_BK[b].tolist() == all_N.argsort(descending=True)[:7].tolist()
        torch.testing.assert_close(score_BK[b].detach(), all_N[id_BK[b]], rtol=1e-4, atol=1e-5)
    assert finder.find(model, toy_corpus, asked, 10_000)[1].shape == (5, toy_corpus.num_passages)


def test_bm25_scores_are_weighted_and_the_weight_gets_a_gradient(model: Realm, toy_corpus: Corpus) -> None:
    bm25 = Bm25([toy_corpus.passage(i).text for i in range(toy_corpus.num_passages)])
    finder = Bm25Finder(bm25)
    asked = tokenize(["the capital of Menania", "timber"], toy_corpus.tokenizer())
    score_BK, id_BK = finder.find(model, toy_corpus, asked, 4)
    plain_BK, numbers_BK = bm25.search(["the capital of Menania", "timber"], 4)
    assert id_BK.tolist() == numbers_BK.tolist()
    torch.testing.assert_close(score_BK.detach(), 0.1 * torch.from_numpy(plain_BK))
    score_BK.sum().backward()
    assert finder.weight.grad is not None
    assert float(finder.weight.grad) == pytest.approx(float(plain_BK.sum()), rel=1e-5)


@pytest.mark.parametrize("bounds", ["sentence", "word", "token"])
@pytest.mark.parametrize("with_title", [True, False])
@pytest.mark.parametrize("max_tokens", [80, 24, 18])
@torch.no_grad()
def test_answers_have_the_offsets_of_their_best_spans(
    model: Realm,
    finder: DenseFinder,
    toy_corpus: Corpus,
    toy_questions: list[Question],
    toy_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    with_title: bool,
    max_tokens: int,
    bounds: AnswerBounds,
) -> None:
    monkeypatch.setattr(model, "config", model.config.replace(title_in_joint=with_title))
    settings = toy_config("finetune.max_query_tokens=12", f"finetune.max_reader_tokens={max_tokens}").finetune
    questions = toy_questions[:6]
    asked = tokenized(toy_corpus, questions)
    score_BK, id_BK = finder.find(model, toy_corpus, asked, 3)
    scores = read_spans(model, toy_corpus, asked, score_BK, id_BK, settings)
    for b, found in enumerate(best_spans(toy_corpus, scores, bounds)):
        assert [f.logit for f in found] == sorted((f.logit for f in found), reverse=True)
        assert {f.passage for f in found} <= set(id_BK[b].tolist())
        for f in found:
            k = id_BK[b].tolist().index(f.passage)
            row, start = toy_corpus.joint_row(asked[b].tokens[:10], f.passage, max_tokens, with_title=with_title)
            assert len(row) <= max_tokens
            length = len(row) - 1 - start
            admissible = admissible_spans(toy_corpus, f.passage, 6, bounds)
            best = max(
                (float(scores.span_BKPW[b, k, p, w]), -p, -w)
                for p in range(length)
                for w in range(6)
                if p + w < length and admissible[p, w]
            )
            first, last = -best[1], -best[1] - best[2]
            assert f.logit == pytest.approx(best[0] + float(score_BK[b, k]), rel=1e-5)
            assert f.retrieval_score == pytest.approx(float(score_BK[b, k]))
            assert f.text == toy_corpus.passage(f.passage).text[f.start : f.end]
            pieces, _ = toy_corpus.tokenizer().encode(f.text)
            assert pieces == toy_corpus.body_tokens(f.passage)[first : last + 1].tolist()


def test_a_passage_without_a_valid_span_gives_no_answer(toy_corpus: Corpus) -> None:
    nothing = torch.zeros(1, 2, 1, 6, dtype=torch.bool)
    nothing[0, 1, 0, 0] = True
    scores = SpanScores(torch.zeros(1, 2, 1, 6), nothing, torch.zeros(1, 2), torch.tensor([[4, 9]]))
    [found] = best_spans(toy_corpus, scores, "token")
    assert [f.passage for f in found] == [9]


def test_questions_are_answered_in_order_independently_of_batches(
    model: Realm,
    finder: DenseFinder,
    toy_corpus: Corpus,
    toy_questions: list[Question],
    toy_config: Callable[..., Config],
    engine: Engine,
) -> None:
    settings = toy_config().finetune
    questions = toy_questions[:20]  # more than are read at once
    answers, retrieved = answer_all(model, toy_corpus, finder, questions, settings, engine, num_retrieved=9)
    alone = [answer_all(model, toy_corpus, finder, [q], settings, engine, num_retrieved=9) for q in questions]
    assert retrieved == [rows[0] for _, rows in alone]
    assert all(len(set(row)) == 9 for row in retrieved)
    for found, ([other], _) in zip(answers, alone, strict=True):
        assert 1 <= len(found) <= settings.num_candidates
        assert [(f.passage, f.start, f.end, f.text) for f in found] == [
            (f.passage, f.start, f.end, f.text) for f in other
        ]
