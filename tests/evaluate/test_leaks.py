"""Leaks: single examples against a slow search, and a corpus with planted copies."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.config import MaskingConfig
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.matches import Matches
from openrealm.evaluate.leaks import leak_rate, leaks
from openrealm.masking.tagger import RulesTagger
from openrealm.train.examples import Example
from openrealm.types import Article

TOKENS = st.lists(st.integers(0, 3), max_size=12)


def slow(query: Sequence[int], places: Sequence[int], body: Sequence[int]) -> bool:
    held = [tuple(query[i : i + 3]) in zip(body, body[1:], body[2:], strict=False) for i in range(len(query) - 2)]
    at_answer = any(has and any(i <= place < i + 3 for place in places) for i, has in enumerate(held))
    return at_answer and sum(held) >= 0.8 * len(held)


@given(TOKENS, TOKENS, st.data())
def test_a_leak_is_most_of_the_query_with_the_answer_in_place(
    query: list[int], body: list[int], data: st.DataObject
) -> None:
    if data.draw(st.booleans()):
        body = body[:3] + query + body[3:]
    places = data.draw(st.sets(st.integers(0, len(query) - 1), min_size=1)) if query else set()
    masked = np.array(query, dtype=np.int64)
    gold = tuple(query[place] for place in sorted(places))
    masked[sorted(places)] = 99
    example = Example(masked, tuple(sorted(places)), gold, 0, "entity")
    assert leaks(example, np.array(body, dtype=np.int64)) == slow(query, sorted(places), body)


def sentence(rng: random.Random) -> str:
    words = ["".join(rng.choices("abcdefghijklm", k=5)) for _ in range(24)]
    return " ".join([*words[:12], rng.choice(["Lima", "Peru", "Bolivia"]), *words[12:]]) + "."


def corpus_of(folder: Path, texts: Sequence[str], toy_corpus: Corpus) -> Corpus:
    return build_corpus(
        [Article(str(n), f"t{n}", text) for n, text in enumerate(texts)],
        folder,
        toy_corpus.tokenizer(),
        max_passage_tokens=300,
        tagger=RulesTagger(),
        source={},
        near_duplicates=True,
    )


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """A hundred texts, then ten of them with other punctuation, then ten of them with another last word."""
    rng = random.Random(0)
    alone = [sentence(rng) for _ in range(100)]
    return [*alone, *(f"{text[:-1]}!" for text in alone[:10]), *(f"{text[:-7]} again." for text in alone[10:20])]


def test_planted_copies_leak_until_they_are_blocked(texts: list[str], toy_corpus: Corpus, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "corpus", texts, toy_corpus)
    reported: list[int] = []
    found = leak_rate(corpus, MaskingConfig(), num_queries=1000, max_query_tokens=400, progress=reported.append)
    assert sum(reported) == found.num_queries == 120
    assert (found.ids, found.equal, found.grouped) == (40 / 120, 20 / 120, 0)


def test_queries_of_another_corpus_leak_until_their_matches_are_blocked(
    texts: list[str], toy_corpus: Corpus, tmp_path: Path
) -> None:
    corpus = corpus_of(tmp_path / "z", texts[:60], toy_corpus)
    queries = corpus_of(tmp_path / "x", [*texts[50:70], *texts[110:115]], toy_corpus)
    matches = Matches.between(queries, corpus, tmp_path / "matches")
    found = leak_rate(
        corpus, MaskingConfig(), queries=queries, blocked=matches.groups, num_queries=25, max_query_tokens=400
    )
    assert (found.num_queries, found.ids, found.equal, found.grouped) == (25, 15 / 25, 5 / 25, 0)
