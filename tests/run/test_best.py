from __future__ import annotations

import pytest

from openrealm.run.answering import Row
from openrealm.run.best import ASKED, CLOZE, UNTRAINED, WAYS, decide

BM25, ADAPTED, FUSED = WAYS[1:]


def rows(num_right: int, num_recalled: int = 100, num: int = 100) -> list[Row]:
    """Rows of which the first are answered right, and have a right passage among the first five."""
    return [{"em": int(n < num_right), "rank": 1 if n < num_recalled else 9} for n in range(num)]


def test_another_system_answers_only_if_it_is_better_beyond_chance() -> None:
    assert decide({UNTRAINED: {CLOZE: rows(30)}, FUSED: {CLOZE: rows(32)}})[0] == UNTRAINED
    way, why = decide({UNTRAINED: {CLOZE: rows(30)}, FUSED: {CLOZE: rows(40)}})
    assert way == FUSED
    assert why.startswith("The fused system answers: it is better")
    assert "100 held-out cloze questions: exact match +10.0 points" in why


def test_of_several_that_are_better_the_best_answers() -> None:
    found = {UNTRAINED: {CLOZE: rows(30)}, ADAPTED: {CLOZE: rows(40)}, FUSED: {CLOZE: rows(50)}}
    assert decide(found)[0] == FUSED


def test_better_recall_is_a_reason_too_unless_fewer_answers_are_right() -> None:
    assert decide({UNTRAINED: {CLOZE: rows(30, 80)}, FUSED: {CLOZE: rows(30, 95)}})[0] == FUSED
    assert decide({UNTRAINED: {CLOZE: rows(30, 80)}, FUSED: {CLOZE: rows(29, 95)}})[0] == UNTRAINED


def test_right_answers_do_not_make_up_for_worse_passages() -> None:
    assert decide({UNTRAINED: {CLOZE: rows(30, 95)}, FUSED: {CLOZE: rows(50, 80)}})[0] == UNTRAINED


def test_held_out_questions_count_and_cloze_questions_must_not_be_worse() -> None:
    ours = {CLOZE: rows(50), ASKED: rows(50)}
    assert decide({UNTRAINED: ours, FUSED: {CLOZE: rows(80), ASKED: rows(51)}})[0] == UNTRAINED
    assert decide({UNTRAINED: ours, FUSED: {CLOZE: rows(50), ASKED: rows(70)}})[0] == FUSED
    assert decide({UNTRAINED: ours, FUSED: {CLOZE: rows(30), ASKED: rows(70)}})[0] == UNTRAINED


def test_words_alone_are_not_preferred_because_of_cloze_questions() -> None:
    by_cloze = {UNTRAINED: {CLOZE: rows(30)}, BM25: {CLOZE: rows(60)}}
    way, why = decide(by_cloze)
    assert way == UNTRAINED
    assert why == "The untrained system answers, as nothing was trained."
    asked = {UNTRAINED: {ASKED: rows(30)}, BM25: {ASKED: rows(60)}}
    assert decide(asked)[0] == BM25


@pytest.mark.parametrize("measured", [{}, {CLOZE: rows(0, 19, 19)}, {ASKED: rows(0, 5, 5), CLOZE: rows(0, 3, 3)}])
def test_too_few_questions_change_nothing(measured: dict[str, list[Row]]) -> None:
    better = {kind: [{"em": 1, "rank": 1}] * len(of) for kind, of in measured.items()}
    way, why = decide({UNTRAINED: measured, FUSED: better})
    assert way == UNTRAINED
    assert "fewer than 20" in why
