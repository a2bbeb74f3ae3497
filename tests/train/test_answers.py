"""Occurrences of answers on word boundaries, compared with a search in the text."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.masking.tagger import RulesTagger
from openrealm.train.answers import AnswerFinder, continuation_ids
from openrealm.types import Article, Question

TEXTS = [
    "Art is long and life is short.",
    "A party of four came to the party.",
    "State-of-the-art arts and crafts, U.S. made.",
    "The art, the art; the art!",
    "Born on 14 March 1821 (aged 31) in Lima.",
    "Lima lima LIMA limas limassol",
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, toy_corpus: Corpus) -> Corpus:
    folder = tmp_path_factory.mktemp("answers") / "corpus"
    articles = [Article(str(n), "", text) for n, text in enumerate(TEXTS)]
    return build_corpus(
        articles, folder, toy_corpus.tokenizer(), max_passage_tokens=80, tagger=RulesTagger(), source={}
    )


@pytest.fixture(scope="module")
def finder(corpus: Corpus) -> AnswerFinder:
    return AnswerFinder(corpus)


def slow(text: str, answer: str) -> list[tuple[int, int]]:
    """Character ranges of the answer in the text that are not adjacent to a letter or digit."""
    words = [re.escape(word) for word in re.findall(r"\w+|[^\w\s]", answer)]
    if not words:
        return []
    before, after = (r"(?<!\w)" if answer[0].isalnum() else ""), (r"(?!\w)" if answer[-1].isalnum() else "")
    pattern = before + r"\s*".join(words) + after
    return [match.span(1) for match in re.finditer(f"(?=({pattern}))", text, re.IGNORECASE)]


@given(st.data())
def test_spans_and_passages_agree_with_a_text_search(corpus: Corpus, finder: AnswerFinder, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(TEXTS))
    start = data.draw(st.integers(0, len(text) - 1))
    answer = text[start : data.draw(st.integers(start + 1, min(len(text), start + 14)))].strip()
    question = Question("?", (answer,))
    pieces = finder.sought(question)
    having = set()
    for n in range(corpus.num_passages):
        passage_text = corpus.passage(n).text
        offsets = corpus.token_offsets(n)
        spans = finder.correct_spans(n, pieces, 100)
        found = [(int(offsets[first][0]), int(offsets[first + width][1])) for first, width in spans]
        assert found == slow(passage_text, answer)
        if found:
            having.add(n)
    assert finder.passages_for(question) == having


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("art", {0, 2, 3}),
        ("party", {1}),
        ("arts", {2}),
        ("Lima", {4, 5}),
        ("14 March 1821", {4}),
        ("4 March 1821", set()),
        ("March 182", set()),
        ("", set()),
        ("zebra", set()),
        ("☃", set()),
    ],
)
def test_an_answer_is_found_as_whole_words(finder: AnswerFinder, answer: str, expected: set[int]) -> None:
    assert finder.passages_for(Question("?", (answer,))) == expected


def test_each_occurrence_of_several_answers_counts_once(finder: AnswerFinder) -> None:
    question = Question("?", ("Lima", "art", "LIMA"))
    assert finder.passages_for(question) == {0, 2, 3, 4, 5}
    spans = finder.correct_spans(5, finder.sought(question), 10)
    assert len(spans) == len(set(spans)) == 3


def test_an_answer_of_unknown_pieces_does_not_match_other_unknown_words(tmp_path: Path, toy_corpus: Corpus) -> None:
    corpus = build_corpus(
        [Article("a", "", "The sign ☃ stands for snow."), Article("b", "", "The sign ☂ stands for rain.")],
        tmp_path / "corpus",
        toy_corpus.tokenizer(),
        max_passage_tokens=80,
        tagger=RulesTagger(),
        source={},
    )
    assert AnswerFinder(corpus).passages_for(Question("?", ("☃",))) == set()


def test_spans_too_long_for_the_reader_are_omitted(finder: AnswerFinder) -> None:
    pieces = finder.sought(Question("?", ("14 March 1821",)))
    [(first, width)] = finder.correct_spans(4, pieces, 20)
    assert width + 1 == len(pieces[0])
    assert finder.correct_spans(4, pieces, width + 1) == [(first, width)]
    assert finder.correct_spans(4, pieces, width) == []


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"art(s)?", {0: ["Art"], 2: ["art", "arts"], 3: ["art", "art", "art"]}),
        (r"part", {}),
        (r"ar", {}),
        (r"1[48]\s*March\s*\d{4}", {4: ["14 March 1821"]}),
        (r"mar(ch)? 182", {}),
        (r"LIMA|lima LIMA", {4: ["Lima"], 5: ["Lima", "lima", "LIMA"]}),
        (r"\bst", {}),
        (r"^The.*$", {3: ["The art, the art; the art!"]}),
        (r"x*", {}),
    ],
)
def test_a_regular_expression_matches_whole_words_only(
    corpus: Corpus, finder: AnswerFinder, pattern: str, expected: dict[int, list[str]]
) -> None:
    question = Question("?", (pattern,), regex=True)
    found = {}
    for n in range(corpus.num_passages):
        text, offsets = corpus.passage(n).text, corpus.token_offsets(n)
        spans = finder.correct_spans(n, finder.sought(question), 80)
        if spans:
            found[n] = [text[offsets[first][0] : offsets[first + more][1]] for first, more in spans]
    assert found == expected
    assert finder.passages_for(question) == set(expected)


def test_long_matches_are_omitted_and_each_span_counts_once(finder: AnswerFinder) -> None:
    question = Question("?", ("L[aeiou]ma", "lima"), regex=True)
    spans = finder.correct_spans(4, finder.sought(question), 10)
    assert len(spans) == 1
    assert finder.correct_spans(4, finder.sought(question), spans[0][1]) == []


def test_continuations_are_the_pieces_with_two_hashes(toy_corpus: Corpus) -> None:
    tokenizer = toy_corpus.tokenizer()
    continues = continuation_ids(tokenizer)
    assert continues.shape == (tokenizer.vocab_size,)
    names = [tokenizer.token(int(i)) for i in np.flatnonzero(continues)]
    assert len(names) == 36
    assert all(name.startswith("##") for name in names)
