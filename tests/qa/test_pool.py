"""Spans and negatives of questions."""

from __future__ import annotations

import dataclasses

import pytest

from openrealm.corpus.corpus import Corpus
from openrealm.evaluate.retrieval import has_answer
from openrealm.index.bm25 import Bm25
from openrealm.qa.pool import Item, items
from openrealm.qa.questions import Asked

LIMITS = {"max_query_tokens": 16, "max_span_tokens": 6, "num_negatives": 8}


@pytest.fixture(scope="module")
def found(qa_corpus: Corpus, toy_asked: list[Asked]) -> list[Item]:
    return items(qa_corpus, toy_asked, **LIMITS)


def test_spans_are_the_answers_in_the_own_paragraph(
    found: list[Item], qa_corpus: Corpus, toy_asked: list[Asked]
) -> None:
    assert len(found) == len(toy_asked)
    for item, one in zip(found, toy_asked, strict=True):
        for number, first, width in item.spans:
            passage, offsets = qa_corpus.passage(number), qa_corpus.token_offsets(number)
            assert passage.article_id == one.article_id
            assert passage.text[offsets[first][0] : offsets[first + width][1]] in one.answers


def test_negatives_are_the_best_of_bm25_that_hold_no_answer(
    found: list[Item], qa_corpus: Corpus, toy_asked: list[Asked]
) -> None:
    bm25 = Bm25.build(qa_corpus)
    num_excluded = 0
    for item, one in zip(found, toy_asked, strict=True):
        ranked = bm25.search([one.text], 24)[1][0].tolist()
        others = [n for n in ranked if qa_corpus.passage(n).article_id != one.article_id]
        without = [n for n in others if not has_answer(qa_corpus.passage(n).text, one.answers)]
        num_excluded += len(others) - len(without)
        assert list(item.negatives) == without[:8]
    assert num_excluded > 20, "many countries sell the same goods"


def test_questions_whose_answer_is_absent_or_too_long_are_left_out(qa_corpus: Corpus, toy_asked: list[Asked]) -> None:
    one = toy_asked[0]
    long = dataclasses.replace(one, answers=(one.paragraph[:60],))
    absent = [dataclasses.replace(one, answers=answers) for answers in (("nowhere",), ())]
    assert len(items(qa_corpus, [one, long, *absent], **LIMITS)) == 1


def test_long_questions_are_cut(qa_corpus: Corpus, toy_asked: list[Asked]) -> None:
    (item,) = items(qa_corpus, toy_asked[1:2], **(LIMITS | {"max_query_tokens": 3}))
    assert len(item.tokens) == 3
