"""The script that makes the quickstart's text."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

ROW = {"question": "who bakes", "answer": ["Ada 's son"], "title": "Mill", "passage": "Ada 's son ( Bo ) bakes ."}


@pytest.fixture(scope="module")
def qed_text(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("qed_text")


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("It is n't a `` Center '' , is it ?", 'It isn\'t a "Center", is it?'),
        ("the singer - songwriter ( born 1970 -- 71 ) -- a poet", "the singer-songwriter (born 1970–71) – a poet"),
        ("AC / DC 's $ 4 , or 17.9 % of it ; Guns N ' Roses", "AC/DC's $4, or 17.9% of it; Guns N' Roses"),
        ("one can not . say", "one cannot. say"),
        ("a \u200e b", "a b"),
    ],
)
def test_tokens_are_joined_as_they_are_written(qed_text: ModuleType, tokens: str, text: str) -> None:
    assert qed_text.joined(tokens) == text


def test_equal_paragraphs_are_one_and_tables_are_left_out(qed_text: ModuleType) -> None:
    table = ROW | {"title": "Table", "passage": "Ada 's son " + "1 " * 400}
    passages, questions = qed_text.made([ROW, ROW | {"question": "who is Bo"}, table])
    assert passages == [{"id": "p1", "title": "Mill", "text": "Ada's son (Bo) bakes."}]
    assert [(q["question"], q["answer"], q["passage"]) for q in questions] == [
        ("who bakes", ["Ada's son"], "p1"),
        ("who is Bo", ["Ada's son"], "p1"),
    ]
    assert len({q["split"] for q in questions}) == 1


def test_an_answer_that_is_not_in_its_paragraph_stops_it(qed_text: ModuleType) -> None:
    with pytest.raises(SystemExit, match="'who bakes' is no longer in its paragraph"):
        qed_text.made([ROW | {"answer": ["Eve"]}])
