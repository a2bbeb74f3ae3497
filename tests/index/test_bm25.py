"""BM25 against a direct implementation of its formula."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from openrealm.index import bm25
from openrealm.index.bm25 import Bm25, words

TEXTS = [
    "Lima is the capital of Peru.",
    "La Paz is the seat of government of Bolivia; Sucre is the capital.",
    "The capital, the capital, the capital!",
    "Rivers of Peru: the Amazon and the Marañón.",
    "",
    "Art is long. A party of four.",
]


def slow_scores(query: str, k1: float = 1.5, b: float = 0.75) -> list[float]:
    """Lucene's BM25: idf = ln(1 + (N - n + 0.5) / (n + 0.5)), tf saturated by k1 and the text's length."""
    bags = [Counter(words(text)) for text in TEXTS]
    mean_length = sum(sum(bag.values()) for bag in bags) / len(bags)
    scores = []
    for bag in bags:
        score = 0.0
        for word in words(query):
            num_with = sum(word in other for other in bags)
            idf = math.log(1 + (len(bags) - num_with + 0.5) / (num_with + 0.5))
            length = k1 * (1 - b + b * sum(bag.values()) / mean_length)
            score += idf * bag[word] / (bag[word] + length) if bag[word] else 0.0
        scores.append(score)
    return scores


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("query", ["capital of Peru", "the", "party", "AMAZON amazon", "Sucre Bolivia government"])
def test_scores_follow_the_formula_best_first(query: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bm25, "_MIN_FOR_NUMBA", 0 if backend == "numba" else 100)
    scores, numbers = Bm25(TEXTS).search([query], len(TEXTS))
    expected = slow_scores(query)
    assert sorted(numbers[0].tolist()) == list(range(len(TEXTS)))
    assert scores[0].tolist() == pytest.approx([expected[n] for n in numbers[0]], rel=1e-5, abs=1e-6)
    assert scores[0].tolist() == sorted(scores[0].tolist(), reverse=True)


def test_words_are_whole_and_lower_case() -> None:
    assert words("Art, ART-work & party's 1821") == ["art", "art", "work", "party", "s", "1821"]
    scores, numbers = Bm25(TEXTS).search(["art"], 2)
    assert numbers[0, 0] == 5
    assert scores[0, 1] == 0


def test_there_are_no_more_results_than_passages_and_queries_keep_their_rows() -> None:
    scores, numbers = Bm25(TEXTS).search(["Peru Lima", "party"], 50)
    assert scores.shape == numbers.shape == (2, len(TEXTS))
    assert (numbers[0, 0], numbers[1, 0]) == (0, 5)


@pytest.mark.parametrize("query", ["", "?!", "zyzzyva", "?? zyzzyva ?"])
def test_a_query_without_known_words_still_gets_passages(query: str) -> None:
    scores, numbers = Bm25(TEXTS).search([query, "Peru"], 3)
    assert scores[0].tolist() == [0, 0, 0]
    assert len(set(numbers[0].tolist())) == 3
    assert scores[1, 0] > 0
