"""Finding answers in passages on token boundaries; recall and reciprocal rank."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.errors import BadInput
from openrealm.evaluate.retrieval import has_answer, has_answer_regex, mean_reciprocal_rank, recall_at_k

pieces = st.sampled_from(
    ["art", "party", "the", "é", "e\u0301", "की", "क", "-", ".", " ", "  ", "_", "3", "14", "\n", "ART"]
)


def slow_tokens(text: str) -> list[str]:
    tokens: list[str] = []
    joins = False
    for character in unicodedata.normalize("NFD", text).lower():
        kind = unicodedata.category(character)[0]
        if kind in "LNM":
            tokens[-1:] = [tokens[-1] + character] if joins else [*tokens[-1:], character]
        elif not character.isspace():
            tokens.append(character)
        joins = kind in "LNM"
    return tokens


def slow_has_answer(text: str, answer: str) -> bool:
    haystack, needle = slow_tokens(text), slow_tokens(answer)
    return bool(needle) and any(haystack[i : i + len(needle)] == needle for i in range(len(haystack)))


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        ("The party was fun.", "art", False),
        ("The art, the party.", "Art", True),
        ("born in 1821 in Lima", "182", False),
        ("born in 1821 in Lima", "1821", True),
        ("the U.S. dollar", "U.S.", True),
        ("the US dollar", "U.S.", False),
        ("New\nYork", "new  york", True),
        ("York New", "New York", False),
        ("Internet country code: .pe.", ".pe", True),
        ("Peruvian(s)", "Peruvian", True),
        ("Perú", "Peru\u0301", True),
        ("Perú", "Peru", False),
        ("की", "क", False),
        ("anything", "", False),
        ("anything", "  ", False),
        ("", "x", False),
        ("snake_case", "case", True),
    ],
)
def test_has_answer(text: str, answer: str, expected: bool) -> None:
    assert has_answer(text, [answer]) is expected
    assert slow_has_answer(text, answer) is expected


def test_one_answer_is_enough_and_no_answers_are_never_found() -> None:
    assert has_answer("by the Nile", ["Amazon", "Nile"])
    assert not has_answer("by the Nile", [])


@given(st.lists(pieces).map("".join), st.lists(pieces, max_size=3).map("".join))
def test_has_answer_follows_its_definition(text: str, answer: str) -> None:
    assert has_answer(text, [answer]) == slow_has_answer(text, answer)


@given(st.lists(st.text("ab1.", min_size=1, max_size=3), min_size=1, max_size=8), st.data())
def test_consecutive_whole_words_are_always_found(words: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(start + 1, len(words)))
    assert has_answer(" ".join(words), ["  ".join(words[start:end])])


def test_regular_expressions_are_searched_anywhere() -> None:
    assert has_answer_regex("he was born in Lima", [r"\blima\b"])
    assert has_answer_regex("first\nLima", ["^lima"])
    assert not has_answer_regex("he was born in Lima", [r"^lima"])
    with pytest.raises(BadInput, match="is not a regular expression"):
        has_answer_regex("x", ["["])


def test_recall_at_k() -> None:
    hits = [[False, True, False], [True], [False, False, False], []]
    assert recall_at_k(hits, 1) == 0.25
    assert recall_at_k(hits, 2) == 0.5
    assert recall_at_k(hits, 100) == 0.5


@given(st.lists(st.lists(st.booleans(), max_size=6), min_size=1, max_size=8))
def test_recall_never_decreases_with_k(hits: list[list[bool]]) -> None:
    curve = [recall_at_k(hits, k) for k in range(1, 8)]
    assert curve == sorted(curve)
    assert curve[-1] == sum(map(any, hits)) / len(hits)


def test_only_the_first_hit_counts_towards_the_reciprocal_rank() -> None:
    hits = [[False, True, True], [True], [False, False, False, True], []]
    assert mean_reciprocal_rank(hits, 1) == 0.25
    assert mean_reciprocal_rank(hits, 3) == (0.5 + 1) / 4
    assert mean_reciprocal_rank(hits, 4) == (0.5 + 1 + 0.25) / 4


@given(st.lists(st.lists(st.booleans(), max_size=12), min_size=1, max_size=8), st.integers(1, 14))
def test_recall_and_reciprocal_rank_agree_with_trec_eval(hits: list[list[bool]], k: int) -> None:
    """Recall over answers is TREC's "success": one passage with an answer is enough."""
    # Every question gets one relevant passage outside the run, since TREC ignores questions without any.
    qrels = {f"q{q}": {f"d{d}": int(hit) for d, hit in enumerate(row)} | {"unseen": 1} for q, row in enumerate(hits)}
    run = {f"q{q}": {f"d{d}": -float(d) for d in range(len(row))} for q, row in enumerate(hits)}
    success, reciprocal_rank = ir_measures.Success @ k, ir_measures.RR @ k
    expected = ir_measures.calc_aggregate([success, reciprocal_rank], qrels, run)
    assert recall_at_k(hits, k) == pytest.approx(expected[success])
    assert mean_reciprocal_rank(hits, k) == pytest.approx(expected[reciprocal_rank])


@given(st.lists(st.none() | st.integers(0, 9), min_size=1, max_size=8), st.integers(1, 12))
def test_with_one_relevant_passage_it_equals_trec_recall(place: list[int | None], k: int) -> None:
    qrels = {f"q{q}": {"gold": 1} for q in range(len(place))}
    run = {f"q{q}": {"gold" if d == at else f"d{d}": -float(d) for d in range(10)} for q, at in enumerate(place)}
    hits = [[d == at for d in range(10)] for at in place]
    recall = ir_measures.R @ k
    assert recall_at_k(hits, k) == pytest.approx(ir_measures.calc_aggregate([recall], qrels, run)[recall])


@pytest.mark.parametrize(("measure", "name"), [(recall_at_k, "Recall"), (mean_reciprocal_rank, "Reciprocal rank")])
def test_a_metric_without_questions_is_rejected(
    measure: Callable[[Sequence[Sequence[bool]], int], float], name: str
) -> None:
    with pytest.raises(BadInput, match=f"^{name} at k = 0 is undefined"):
        measure([[True]], 0)
    with pytest.raises(BadInput, match=f"^{name} is undefined without questions"):
        measure([], 1)
