"""Answers as of a day: what is valid then is found as if the rest were not there, with the scores it has among all."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.errors import BadInput
from openrealm.index.bm25 import Bm25
from openrealm.index.index import Index
from openrealm.model.answering import Answering
from openrealm.model.realm import Realm
from openrealm.serve.answerer import Answerer
from openrealm.train.fusion import FusedFinder
from openrealm.train.spans import Bm25Finder, DenseFinder, PassageFinder, tokenize
from openrealm.types import Article

QUESTIONS = ["What is the capital?", "Which river runs through the city?", "Who founded it on 4 May?"]


@pytest.fixture(scope="module")
def corpus(toy_articles: list[Article], toy_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Every third article was valid until the end of 2018, the last one from 2030 on."""
    dated = [dataclasses.replace(a, valid_to="2018-12-31") if n % 3 == 0 else a for n, a in enumerate(toy_articles)]
    dated[40] = dataclasses.replace(dated[40], valid_from="2030-01-01")
    return Corpus.build(
        dated, tmp_path_factory.mktemp("dated") / "corpus", backbone=str(toy_backbone), max_passage_tokens=60
    )


@pytest.fixture(scope="module", params=["dense", "bm25", "fused"])
def finder(request: pytest.FixtureRequest, corpus: Corpus, toy_realm: Callable[..., Realm]) -> PassageFinder:
    index, bm25 = Index.build(toy_realm(), corpus, engine=Engine("cpu", False)), Bm25.build(corpus)
    finders = {"dense": DenseFinder(index), "bm25": Bm25Finder(bm25), "fused": FusedFinder(index, bm25, ANSWERING)}
    return finders[request.param]


ANSWERING = Answering(bm25_weight=3.0, retrieval_weight=0.25)


@pytest.mark.parametrize("k", [1, 5, 30, 1000])
def test_passages_are_those_of_a_search_of_all_without_the_others(
    corpus: Corpus, finder: PassageFinder, toy_realm: Callable[..., Realm], k: int
) -> None:
    asked = tokenize(QUESTIONS, corpus.tokenizer())
    is_valid = corpus.is_valid_on(datetime.date(2019, 6, 1))
    assert 0 < is_valid.sum() < len(corpus)
    with torch.inference_mode():
        scores, numbers = finder.restricted(is_valid).find(toy_realm(), corpus, asked, k)
        every_score, every_number = finder.find(toy_realm(), corpus, asked, len(corpus))
    assert numbers.shape[1] == min(k, is_valid.sum())
    for row in range(len(QUESTIONS)):
        assert is_valid[numbers[row].numpy()].all()
        assert len(set(numbers[row].tolist())) == numbers.shape[1]
        score_of = dict(zip(every_number[row].tolist(), every_score[row].tolist(), strict=True))
        expected = sorted((score for n, score in score_of.items() if is_valid[n]), reverse=True)[:k]
        if not isinstance(finder, FusedFinder):  # which divides by the best score by words
            assert scores[row].tolist() == pytest.approx(expected)
        assert np.all(np.diff(scores[row].numpy()) <= 1e-6)


def test_an_answerer_of_a_day_reads_what_is_valid_then(corpus: Corpus, toy_realm: Callable[..., Realm]) -> None:
    model = toy_realm()
    model.add_span_reader()
    answerer = Answerer(model, corpus, finder=Bm25Finder(Bm25.build(corpus)), engine=Engine("cpu", False))
    title = next(corpus[i].title for i in range(len(corpus)) if corpus.article_index(i) == 3)
    question = f"What is the capital of {title}?"
    assert answerer.search(question, k=1).passages[0].title == title
    later = answerer.as_of("2019-01-01")
    assert title not in {passage.title for passage in later.search(question, k=1000).passages}
    answer = later.ask(question)
    assert answer.source is None or answer.source.title != title
    assert answerer.as_of(datetime.date(2018, 12, 31)).search(question, k=1).passages[0].title == title


def test_a_day_that_is_none_or_on_which_nothing_is_valid_is_refused(
    tmp_path: Path, toy_backbone: Path, toy_realm: Callable[..., Realm]
) -> None:
    articles = [Article("1", "", "Lima is the capital.", valid_from="2019-06-01", valid_to="2019-06-30")]
    corpus = Corpus.build(articles, tmp_path / "corpus", backbone=str(toy_backbone))
    model = toy_realm()
    model.add_span_reader()
    answerer = Answerer(model, corpus, finder=Bm25Finder(Bm25.build(corpus)), engine=Engine("cpu", False))
    assert answerer.as_of("2019-06-30") is answerer
    with pytest.raises(BadInput, match="No passage is valid on 2019-07-01; choose a day"):
        answerer.as_of("2019-07-01")
    with pytest.raises(BadInput, match="'yesterday' is not a date; expected year, month and day, such as 2019-06-01"):
        answerer.as_of("yesterday")
