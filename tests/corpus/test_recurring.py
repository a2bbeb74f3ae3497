"""Posting lists of recurring spans, compared with dictionaries."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from openrealm.corpus.corpus import Corpus
from openrealm.corpus.recurring import RecurringSpans
from openrealm.types import Article

Name = tuple[tuple[int, ...], str]


def is_long_enough(corpus: Corpus, passage: int, token: int) -> bool:
    """Whether the sentence of a token has the three tokens that a query needs."""
    return any(first <= token < end and end - first >= 3 for first, end in corpus.sentences(passage).tolist())


def slowly(corpus: Corpus, kinds: tuple[str, ...], max_passages: int) -> dict[int, dict[tuple[int, int], set[int]]]:
    """By passage and recurring span, the groups of other passages that contain it."""
    groups: dict[Name, set[int]] = defaultdict(set)
    spans: dict[tuple[int, int, int], Name] = {}
    for i in range(len(corpus)):
        for start, end, kind in corpus.spans(i):
            if kind in kinds and is_long_enough(corpus, i, start):
                spans[i, start, end] = (tuple(corpus.body_tokens(i)[start:end].tolist()), kind)
                groups[spans[i, start, end]].add(corpus.group(i))
    out: dict[int, dict[tuple[int, int], set[int]]] = defaultdict(dict)
    for (i, start, end), pieces in spans.items():
        if 2 <= len(groups[pieces]) <= max_passages:
            out[i][start, end] = groups[pieces] - {corpus.group(i)}
    return out


@pytest.mark.parametrize("kinds", [("entity",), ("entity", "date"), ("number",)])
@pytest.mark.parametrize("max_passages", [2, 5, 1000])
def test_posting_lists_are_those_of_dictionaries(toy_corpus: Corpus, kinds: tuple[str, ...], max_passages: int) -> None:
    spans, expected = (
        RecurringSpans(toy_corpus, kinds=kinds, max_passages=max_passages),
        slowly(toy_corpus, kinds, max_passages),
    )
    assert spans.passages.tolist() == sorted(expected)
    assert kinds == ("number",) or expected, "the toy world has recurring names"
    for passage, wanted in expected.items():
        bounds, names = spans.occurrences(passage)
        assert [tuple(row) for row in bounds.tolist()] == sorted(wanted)
        for (start, end), name in zip(bounds.tolist(), names.tolist(), strict=True):
            others = spans.elsewhere(name, passage).tolist()
            assert {toy_corpus.group(other) for other in others} == wanted[start, end]
            assert len(others) == len(wanted[start, end]), "one passage of each group"
            pieces = toy_corpus.body_tokens(passage)[start:end].tolist()
            for other in others:
                held = [toy_corpus.body_tokens(other)[a:b].tolist() for a, b, _ in toy_corpus.spans(other)]
                assert pieces in held


def test_a_corpus_without_names_has_none(tmp_path: Path, toy_backbone: Path) -> None:
    corpus = Corpus.build([Article("a", "", "bread is made of flour.")], tmp_path / "c", backbone=str(toy_backbone))
    assert RecurringSpans(corpus, kinds=("entity",), max_passages=100).passages.tolist() == []
