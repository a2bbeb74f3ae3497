from __future__ import annotations

import pytest

from openrealm.corpus.corpus import Corpus
from openrealm.run.answering import by_relation, figures, is_right
from openrealm.types import Question


def row(em: int, rank: int | None, relation: str = "capital", *, unseen: bool = False) -> dict[str, object]:
    return {"em": em, "f1": float(em), "rank": rank, "relation": relation, "unseen_wording": unseen}


def test_figures_are_means_over_the_rows() -> None:
    rows = [row(1, 1), row(1, 3, unseen=True), row(0, 12), row(0, None)]
    found = figures(rows)
    assert (found["em"], found["f1"]) == (0.5, 0.5)
    assert found["em_low"] <= 0.5 <= found["em_high"]
    assert [found[f"recall@{k}"] for k in (1, 5, 20)] == [0.25, 0.5, 0.75]
    assert found["mrr@20"] == pytest.approx((1 + 1 / 3 + 1 / 12) / 4)
    assert found["em_seen_wordings"] == pytest.approx(1 / 3)
    assert found["em_unseen_wordings"] == 1.0


def test_f1_is_over_the_questions_that_have_one() -> None:
    patterns = [row(1, 1) | {"f1": None}, row(0, 1) | {"f1": None}]
    assert figures(patterns)["f1"] is None
    assert figures([*patterns, row(1, 1), row(0, 1)])["f1"] == 0.5


def test_a_system_that_retrieves_nothing_has_no_recall() -> None:
    rows = [{key: value for key, value in row(1, None).items() if key != "rank"}]
    found = figures(rows)
    assert not any(key.startswith(("recall", "mrr")) for key in found)
    assert found["em_unseen_wordings"] is None


def test_a_passage_is_right_if_it_has_an_answer_and_is_of_the_article_that_is_named(toy_corpus: Corpus) -> None:
    passage = toy_corpus.passage(0)

    assert passage.article_id == "a0"
    answer = passage.text.split()[-1]
    for named, is_right_now in (("", True), ("a0", True), ("a1", False)):
        assert is_right(toy_corpus, 0, Question("Which?", (answer,), passage=named)) == is_right_now
    assert not is_right(toy_corpus, 0, Question("Which?", ("no such word",), passage="a0"))


def test_relations_are_counted_separately_and_questions_without_one_ignored() -> None:
    answers = {
        "realm": {"questions": [row(1, 1, "capital"), row(0, 1, "capital"), row(1, 1, "river"), row(1, 1, "")]},
        "bm25": {"questions": [row(0, 1, "capital"), row(0, 1, "capital"), row(1, 1, "river"), row(0, 1, "")]},
    }
    assert by_relation(answers) == {
        "capital": {"questions": 2, "em": {"realm": 0.5, "bm25": 0.0}},
        "river": {"questions": 1, "em": {"realm": 1.0, "bm25": 1.0}},
    }
