from __future__ import annotations

from openrealm.types import Answer, ReadPassage


def test_an_answer_has_the_utility_of_the_passage_it_cites_and_none_without_one() -> None:
    passage = ReadPassage("d1", "Peru", "Lima is the capital.", "Lima", 0, 4, 0.9, 2.5, 7.0)
    assert Answer("Which city?", "Lima", 7.0, passage).retrieval_utility == 2.5
    assert Answer("Which city?", "", 0.0, None).retrieval_utility == 0.0
