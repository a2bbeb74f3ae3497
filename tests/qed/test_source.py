from __future__ import annotations

from collections import Counter

import pytest

from openrealm.corpus.sources import is_name, open_source
from openrealm.qed.source import NAME, Qed, qed_questions
from openrealm.types import Article, Question


@pytest.fixture(scope="module")
def articles() -> dict[str, Article]:
    return {article.id: article for article in Qed().articles()}


def all_questions() -> list[Question]:
    sets = qed_questions()
    return [*sets.train, *sets.dev, *sets.test]


def test_it_is_found_by_name_and_known_by_its_content() -> None:
    assert is_name(NAME)
    source = open_source(NAME)
    assert isinstance(source, Qed)
    assert source.identity() == Qed().identity()


def test_every_paragraph_is_there_once(articles: dict[str, Article]) -> None:
    assert len(articles) == 1_023
    assert len({(article.title, article.text) for article in articles.values()}) == 1_023
    assert all(article.title and article.text for article in articles.values())


def test_every_question_is_answered_verbatim_by_its_paragraph(articles: dict[str, Article]) -> None:
    for question in all_questions():
        assert question.answers
        assert all(answer in articles[question.passage].text for answer in question.answers), question


def test_no_title_has_questions_in_two_parts(articles: dict[str, Article]) -> None:
    sets = qed_questions()
    titles = [{articles[q.passage].title for q in part} for part in (sets.train, sets.dev, sets.test)]
    assert [len(part) for part in (sets.train, sets.dev, sets.test)] == [551, 224, 303]
    assert not titles[0] & titles[1]
    assert not (titles[0] | titles[1]) & titles[2]


def test_text_is_written_as_people_write_it(articles: dict[str, Article]) -> None:
    """QED separates words and punctuation by spaces; in formulas and tables some are left."""
    text = " ".join(article.text for article in articles.values())
    separated = Counter(
        word for word in text.split() if word in {",", ".", ")", "(", "''", "``", "'s", "n't", ";", ":"}
    )
    assert sum(separated.values()) < 10
    assert "singer-songwriter" in text
