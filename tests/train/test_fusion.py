"""Passages found by vectors and words together, against a score of every passage."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.index.bm25 import Bm25
from openrealm.index.index import Index
from openrealm.model.answering import Answering
from openrealm.model.realm import Realm
from openrealm.train.fusion import FusedFinder
from openrealm.train.spans import tokenize
from openrealm.types import Question

ANSWERING = Answering(bm25_weight=3.0, retrieval_weight=0.25)


@pytest.fixture(scope="module")
def model(toy_realm: Callable[..., Realm]) -> Realm:
    return toy_realm("model.temperature=0.5").eval()


@pytest.fixture(scope="module")
def finder(model: Realm, toy_corpus: Corpus, engine: Engine) -> FusedFinder:
    return FusedFinder(Index.build(model, toy_corpus, engine=engine), Bm25.build(toy_corpus), ANSWERING)


def test_passages_are_the_best_by_the_weighted_sum_each_once(
    model: Realm, finder: FusedFinder, toy_corpus: Corpus, toy_questions: list[Question]
) -> None:
    asked = tokenize([question.text for question in toy_questions[:8]], toy_corpus.tokenizer())
    score_BK, id_BK = finder.find(model, toy_corpus, asked, 9)
    assert score_BK.requires_grad
    bm25 = Bm25.build(toy_corpus)
    for b, question in enumerate(asked):
        query_D = model.retriever.encode_query([toy_corpus.query_row(question.tokens, 40)])[0].detach()
        scores, numbers = bm25.search([question.text], toy_corpus.num_passages)
        words = dict(zip(numbers[0].tolist(), scores[0].tolist(), strict=True))
        expected = {
            n: 0.25 * (float(finder.index.vector_ND[n] @ query_D) + 3.0 * words[n] / scores[0, 0])
            for n in range(toy_corpus.num_passages)
        }
        assert len(set(id_BK[b].tolist())) == 9
        torch.testing.assert_close(
            score_BK[b].detach(), torch.tensor([expected[n] for n in id_BK[b].tolist()]), rtol=1e-4, atol=1e-4
        )
        # Everything is searched that is among the 50 best of either, here half of all passages.
        assert min(score_BK[b].tolist()) >= sorted(expected.values())[-9] - 1e-4


def test_a_question_without_a_known_word_is_answered_by_vectors_alone(
    model: Realm, finder: FusedFinder, toy_corpus: Corpus
) -> None:
    asked = tokenize(["qqq zzz"], toy_corpus.tokenizer())
    score_BK, id_BK = finder.find(model, toy_corpus, asked, 5)
    query_D = model.retriever.encode_query([toy_corpus.query_row(asked[0].tokens, 40)])[0]
    assert id_BK[0].tolist() == (finder.index.vector_ND @ query_D).argsort(descending=True)[:5].tolist()
    assert bool(score_BK.isfinite().all())


def test_more_passages_than_there_are_returns_all(model: Realm, finder: FusedFinder, toy_corpus: Corpus) -> None:
    asked = tokenize(["Where?"], toy_corpus.tokenizer())
    _, id_BK = finder.find(model, toy_corpus, asked, 10_000)
    assert sorted(id_BK[0].tolist()) == list(range(toy_corpus.num_passages))
