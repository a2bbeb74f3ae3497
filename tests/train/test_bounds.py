"""Spans that may be answers, against a slow way that is easy to read."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.text.tokenizer import Tokenizer
from openrealm.train.bounds import AnswerBounds, admissible_spans, word_bounds
from openrealm.types import Article


def slow_is_inside(text: str, i: int) -> bool:
    """Whether position i, not an end of `text`, is inside a word or a number."""
    before, after = text[i - 1], text[i]
    if is_mark(after):
        return True
    threes = [text[k : k + 3] for k in (i - 2, i - 1) if k >= 0]
    if any(is_decimal(three) or is_compound(three) for three in threes):
        return True
    return is_word(before) and is_word(after)


def is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" or character in "\u200c\u200d"


def is_decimal(three: str) -> bool:
    digits = [c for c in three[::2] if unicodedata.category(c)[0] == "N"]
    return len(three) == 3 and len(digits) == 2 and three[1] in ".,"


def is_compound(three: str) -> bool:
    return (
        len(three) == 3
        and three[1] == "-"
        and all(is_word(c) and not is_mark(c) and not is_numeral(c) for c in three[::2])
    )


def is_numeral(character: str) -> bool:
    return unicodedata.category(character)[0] == "N"


def is_word(character: str) -> bool:
    name, category = unicodedata.name(character, ""), unicodedata.category(character)[0]
    is_unspaced = category == "L" and name.startswith(("CJK", "HIRAGANA", "KATAKANA", "THAI"))
    return character == "_" or is_mark(character) or (category in "LN" and not is_unspaced)


@given(st.text(st.sampled_from("ab1.,- _é\u0301हि\u094d東ア。'ก\u0e34\u200c"), max_size=12))
def test_word_bounds_are_those_of_the_slow_way(text: str) -> None:
    inner = [not slow_is_inside(text, i) for i in range(1, len(text))]
    assert word_bounds(text).tolist() == [True, *inner, True][: len(text) + 1]


@given(st.text(max_size=20))
def test_any_text_has_bounds_at_its_ends(text: str) -> None:
    bounds = word_bounds(text)
    assert bounds.shape == (len(text) + 1,)
    assert bounds[0]
    assert bounds[-1]


@pytest.mark.parametrize("bounds", ["sentence", "word", "token"])
def test_admissible_spans_are_whole_words_of_one_sentence(toy_corpus: Corpus, bounds: AnswerBounds) -> None:
    num_admissible = 0
    for passage in range(0, toy_corpus.num_passages, 3):
        text, offsets = toy_corpus.passage(passage).text, toy_corpus.token_offsets(passage).tolist()
        sentence_of = np.zeros(len(offsets), int)
        for number, (first, end) in enumerate(toy_corpus.sentences(passage).tolist()):
            sentence_of[first:end] = number
        admissible = admissible_spans(toy_corpus, passage, 5, bounds)
        assert admissible.shape == (len(offsets), 5)
        num_admissible += int(admissible.sum())
        for p in range(len(offsets)):
            for w in range(5):
                expected = p + w < len(offsets)
                if expected and bounds != "token":
                    start, end = offsets[p][0], offsets[p + w][1]
                    cuts = (start > 0 and slow_is_inside(text, start), end < len(text) and slow_is_inside(text, end))
                    expected = not any(cuts)
                if expected and bounds == "sentence":
                    expected = sentence_of[p] == sentence_of[p + w]
                assert admissible[p, w] == expected
    assert num_admissible > 0


def test_no_answer_is_cut_inside_a_word_or_runs_over_an_end(tmp_path: Path, tokenizer: Tokenizer) -> None:
    text = "The brick-and-mortar pharmacies of Lima opened. They closed in 1821."
    corpus = build_corpus(
        [Article("a", "Lima", text)],
        tmp_path / "corpus",
        tokenizer,
        max_passage_tokens=200,
        tagger="rules",
        source={"kind": "test"},
    )
    offsets = corpus.token_offsets(0).tolist()
    assert len(offsets) > 40  # the words are in pieces
    spans = np.argwhere(admissible_spans(corpus, 0, 30, "sentence")).tolist()
    found = [(offsets[p][0], offsets[p + w][1]) for p, w in spans]
    assert {"brick-and-mortar pharmacies", "pharmacies of Lima", "1821", "opened."} <= {text[a:b] for a, b in found}
    for start, end in found:
        assert "opened. They" not in text[start:end]
        assert not text[start - 1 : start + 1].isalnum() or start == 0
        assert not text[end - 1 : end + 1].isalnum()
