from __future__ import annotations

import pytest

from openrealm.run.answering import Row
from openrealm.run.best import ASKED, CLOZE, UNTRAINED, WAYS, decide, gains, verdict

BM25, VECTORS, ADAPTED, FUSED = WAYS[1:]


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


def test_by_cloze_questions_no_model_wins_whose_vectors_find_less_than_before() -> None:
    ours = {UNTRAINED: {CLOZE: rows(30, 80)}, VECTORS: {CLOZE: rows(30, 75)}, FUSED: {CLOZE: rows(40, 90)}}
    assert decide(ours | {ADAPTED: {CLOZE: rows(30, 75)}})[0] == FUSED
    way, why = decide(ours | {ADAPTED: {CLOZE: rows(30, 74)}})
    assert way == UNTRAINED
    assert why == "The untrained system answers: by its vectors alone, the trained model finds fewer passages."
    asked = {way: {CLOZE: of[CLOZE], ASKED: of[CLOZE]} for way, of in ours.items()}
    assert decide(asked | {ADAPTED: {CLOZE: rows(30, 74), ASKED: rows(30, 74)}})[0] == FUSED, "people's questions count"


@pytest.mark.parametrize("measured", [{}, {CLOZE: rows(0, 19, 19)}, {ASKED: rows(0, 5, 5), CLOZE: rows(0, 3, 3)}])
def test_too_few_questions_change_nothing(measured: dict[str, list[Row]]) -> None:
    better = {kind: [{"em": 1, "rank": 1}] * len(of) for kind, of in measured.items()}
    way, why = decide({UNTRAINED: measured, FUSED: better})
    assert way == UNTRAINED
    assert "fewer than 20" in why


def asked(num_right: int, num_first: int, num: int = 100) -> list[Row]:
    """Rows of which the first are answered right, with F1 1, and have a right passage in the first place."""
    return [
        {"em": int(n < num_right), "f1": float(n < num_right), "rank": 1 if n < num_first else 2} for n in range(num)
    ]


def test_gains_are_paired_and_leave_f1_out_where_there_is_none() -> None:
    found = gains(asked(30, 50), asked(20, 50))
    assert found["em"]["mean"] == found["f1"]["mean"] == pytest.approx(0.1)
    assert 0 < found["em"]["low"] < 0.1 < found["em"]["high"]
    assert found["recall@1"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert set(gains([{**row, "f1": None} for row in asked(1, 1)], [{**row, "f1": None} for row in asked(1, 1)])) == {
        "em",
        "recall@1",
    }


@pytest.mark.parametrize(
    ("joint", "said"),
    [
        (asked(30, 50), "Joint pre-training changed nothing beyond chance, compared with the same time of warm start"),
        (asked(50, 50), "Joint pre-training raised exact match and F1 beyond chance, compared"),
        (asked(30, 20), "Joint pre-training lowered recall@1 beyond chance, compared"),
        (asked(50, 20), "Joint pre-training raised exact match and F1 and lowered recall@1 beyond chance, compared"),
    ],
)
def test_the_verdict_says_what_joint_training_changed_and_by_how_much(joint: list[Row], said: str) -> None:
    sentence = verdict(joint, asked(30, 50))
    assert sentence.startswith(said)
    assert "(100 questions: recall@1 " in sentence
    assert sentence.count("95% interval") == 3
