"""Exact match and F1: by hand, against a slow reference implementation, and against published scores on SQuAD."""

from __future__ import annotations

import json
import lzma
import string
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.config import Config, with_settings
from openrealm.errors import BadInput
from openrealm.evaluate.answers import compile_pattern, exact_match, f1, normalise, regex_match
from openrealm.evaluate.retrieval import has_answer_regex

SQUAD = Path(__file__).parents[3] / "shared" / "data" / "squad"
words = st.lists(st.sampled_from(["a", "the", "An", "cat", "Cat.", "sat", "theme", "é", "e\u0301", "-", "U.S."])).map(
    " ".join
)


def slow_normalise(text: str) -> str:
    kept = []
    for character in unicodedata.normalize("NFD", text).lower():
        if character not in string.punctuation:
            kept.append(character)
    return " ".join(word for word in "".join(kept).split() if word not in ("a", "an", "the"))


def slow_f1(prediction: str, reference: str) -> float:
    left, right = slow_normalise(prediction).split(), slow_normalise(reference).split()
    if not left or not right:
        return float(left == right)
    rest = list(right)
    for word in left:
        if word in rest:
            rest.remove(word)
    num_shared = len(right) - len(rest)
    if num_shared == 0:
        return 0.0
    precision, recall = num_shared / len(left), num_shared / len(right)
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  United\tStates.", "united states"),
        ("U.S.", "us"),
        ("a", ""),
        ("theatre and anthem", "theatre and anthem"),
        ("(GBP)", "gbp"),
        ("Perú", "peru\u0301"),
        ("Peru\u0301", "peru\u0301"),
        ("A-a", "aa"),
        ("", ""),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


@given(words)
def test_normalise_follows_its_definition_and_is_idempotent(text: str) -> None:
    assert normalise(text) == slow_normalise(text)
    assert normalise(normalise(text)) == normalise(text)


@given(st.text(max_size=40))
def test_normalise_accepts_any_text(text: str) -> None:
    assert "  " not in normalise(text)
    assert normalise(text) == normalise(unicodedata.normalize("NFC", text))


def test_exact_match_accepts_any_reference() -> None:
    assert exact_match("the Nile", ["Amazon", "Nile."])
    assert not exact_match("Nile river", ["Amazon", "Nile"])
    assert not exact_match("art", ["party"])
    assert exact_match("a", ["the"])  # both normalise to nothing: SQuAD's rule


@given(words, st.lists(words, min_size=1, max_size=4))
def test_f1_is_the_maximum_over_references(prediction: str, references: list[str]) -> None:
    expected = max(slow_f1(prediction, reference) for reference in references)
    assert f1(prediction, references) == pytest.approx(expected)
    assert exact_match(prediction, references) == any(
        slow_normalise(prediction) == slow_normalise(r) for r in references
    )
    if exact_match(prediction, references):
        assert f1(prediction, references) == 1.0


def test_f1_counts_repeated_words() -> None:
    assert f1("new new york", ["new york"]) == pytest.approx(2 * 2 / 5)
    assert f1("", ["york"]) == 0.0
    assert f1("", ["the"]) == 1.0


def test_regular_expressions_match_from_the_start() -> None:
    assert regex_match("Lima, Peru", ["lima"])
    assert not regex_match("in Lima", ["lima"])
    assert regex_match("in Lima", [r".*\blima\b"])
    assert regex_match("ÉCOLE", ["école"])
    assert not regex_match(
        "first\nLima", ["^lima"]
    )  # match() anchors at the start, even though ^ matches at every line


def test_a_pattern_that_does_not_compile_is_named() -> None:
    with pytest.raises(BadInput, match=r"'\(unclosed' is not a regular expression"):
        regex_match("x", ["(unclosed"])


def test_a_question_without_references_is_rejected() -> None:
    for measure in (exact_match, f1, regex_match):
        with pytest.raises(BadInput, match=r"^A question has no reference answer; add"):
            measure("x", [])


@pytest.mark.parametrize(
    ("system", "expected_em", "expected_f1"),
    [("bert-ensemble", 86.206, 92.196), ("logistic-regression", 40.142, 50.982)],
)
def test_published_scores_on_squad(system: str, expected_em: float, expected_f1: float) -> None:
    if not SQUAD.is_dir():
        pytest.skip(f"needs SQuAD's dev set and the published predictions in {SQUAD}")
    articles = json.loads(lzma.decompress((SQUAD / "squad-v1.1-dev.json.xz").read_bytes()))["data"]
    references = {q["id"]: q["answers"] for a in articles for p in a["paragraphs"] for q in p["qas"]}
    predictions = json.loads(lzma.decompress((SQUAD / "predictions" / f"{system}.json.xz").read_bytes()))
    assert len(references) == 10_570
    pairs = [(predictions.get(key, ""), answers) for key, answers in references.items()]
    assert 100 * sum(exact_match(p, r) for p, r in pairs) / len(pairs) == pytest.approx(expected_em, abs=5e-4)
    assert 100 * sum(f1(p, r) for p, r in pairs) / len(pairs) == pytest.approx(expected_f1, abs=5e-4)


def test_slow_f1_agrees_with_counters() -> None:
    left, right = "x x y", "x y y"
    assert slow_f1(left, right) == pytest.approx(2 * (Counter(left.split()) & Counter(right.split())).total() / 6)


NESTED = [r"(x+x+)+y", r"(.*)*(.*)*(.*)*z", r"((a|b|x)+)+c", r"(\w+\s?)+\d$", r"^(([a-z])+.)+[A-Z]([a-z])+$"]


@pytest.mark.parametrize("pattern", NESTED)
def test_repetitions_of_repetitions_end(pattern: str) -> None:
    """Python's own `re` does not end on some of these."""
    assert not regex_match("x" * 60 + "!", [pattern])


def test_a_pattern_that_takes_too_long_is_an_error_that_names_it() -> None:
    text, pattern = "x" * 60 + "!", r"(?:x|xx)+(?:x|xx)+$"
    with pytest.raises(BadInput, match=r"the answer '\(\?:x\|xx.*' takes too long as a regular expression"):
        regex_match(text, [pattern])
    with pytest.raises(BadInput, match="takes too long"):
        compile_pattern(pattern).spans(text)


def test_a_long_pattern_is_cut_in_the_message() -> None:
    with pytest.raises(BadInput, match="is not a regular expression") as error:
        compile_pattern("(" * 1_000_000)
    assert len(str(error.value)) < 400


def test_the_time_for_a_pattern_is_a_setting() -> None:
    text, pattern = "x" * 26 + "!", r"(?:x|xx)+(?:x|xx)+$"  # about half a second
    short, long = (with_settings(Config(), [f"max_regex_seconds={seconds}"]) for seconds in (0.01, 300))
    with pytest.raises(BadInput, match=r"takes too long .* or raise max_regex_seconds"):
        regex_match(text, [pattern], short.max_regex_seconds)
    with pytest.raises(BadInput, match="takes too long"):
        has_answer_regex(text, [pattern], short.max_regex_seconds)
    assert not regex_match(text, [pattern], long.max_regex_seconds)
