"""Shared shingles against sets of tuples of words, compared pair by pair."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus import shingles
from openrealm.corpus.shingles import (
    NUM_SLICES,
    RARE_PASSAGES,
    REACH,
    SHINGLE_WORDS,
    HashedWords,
    shared_shingles,
    words,
)

# Few words, so that texts share runs of them; few texts, so that REACH leaves no pair out.
TEXTS = st.lists(st.lists(st.sampled_from("abc"), max_size=14).map(" ".join), min_size=1, max_size=REACH + 1)


def shingles_of(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[i : i + SHINGLE_WORDS]) for i in range(len(found) - SHINGLE_WORDS + 1)}


def slow(texts: list[str], num_first: int | None) -> dict[tuple[int, int], tuple[int, int]]:
    """For each pair, in order, the shingles shared and the rare ones among them."""
    sets = [shingles_of(text) for text in texts]
    num_texts = Counter(shingle for found in sets for shingle in found)
    pairs = {}
    for one, other in combinations(range(len(texts)), 2):
        shared = sets[one] & sets[other]
        if shared and (num_first is None or one < num_first <= other):
            pairs[one, other] = (len(shared), sum(num_texts[shingle] <= RARE_PASSAGES for shingle in shared))
    return pairs


def fast(texts: list[str], num_first: int | None) -> tuple[dict[tuple[int, int], tuple[int, int]], list[int]]:
    told: list[int] = []
    found = shared_shingles(HashedWords.of(texts, told.append), told.append, num_first=num_first)
    assert sum(told) == 2 * len(texts)
    columns = (column.tolist() for column in (found.one, found.other, found.num_shared, found.num_rare))
    pairs = {(one, other): (shared, rare) for one, other, shared, rare in zip(*columns, strict=True)}
    assert len(pairs) == len(found.one), "a pair comes once"
    for share, (one, other), (shared, _) in zip(found.share.tolist(), pairs, pairs.values(), strict=True):
        assert share == shared / min(found.size_N[one], found.size_N[other])
    return pairs, found.size_N.tolist()


@given(TEXTS, st.integers(0, REACH), st.booleans())
def test_pairs_and_counts_are_those_of_the_sets(texts: list[str], first: int, is_cross: bool) -> None:
    num_first = min(first, len(texts)) if is_cross else None
    pairs, sizes = fast(texts, num_first)
    assert list(pairs.items()) == sorted(slow(texts, num_first).items())
    assert sizes == [len(shingles_of(text)) for text in texts]


@pytest.mark.parametrize("num_copies", [RARE_PASSAGES, RARE_PASSAGES + 1])
def test_a_shingle_of_more_passages_than_ten_is_not_rare(num_copies: int) -> None:
    pairs, _ = fast(["one two three four five six"] * num_copies, None)
    assert set(pairs.values()) == {(2, 2 if num_copies <= RARE_PASSAGES else 0)}
    assert all(other - one <= REACH for one, other in pairs)
    assert {(n, n + 1) for n in range(num_copies - 1)} <= set(pairs), "neighbours, so that all hang together"


@given(TEXTS)
def test_slices_hold_every_shingle_once_wherever_chunks_end(texts: list[str]) -> None:
    hashed = HashedWords.of(texts, lambda done: None)
    whole = [hashed.shingles(number) for number in range(NUM_SLICES)]
    texts_of = Counter(int(text) for _, numbers in whole for text in numbers)
    assert texts_of == Counter({n: len(shingles_of(text)) for n, text in enumerate(texts) if shingles_of(text)})
    assert len({int(h) for hashes, _ in whole for h in hashes}) == len(set().union(*map(shingles_of, texts)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "_CHUNK_WORDS", 7)
        for number, (hashes, numbers) in enumerate(whole):
            again = hashed.shingles(number)
            assert again[0].tolist() == hashes.tolist() == sorted(hashes.tolist())
            assert again[1].tolist() == numbers.tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Lima, the CAPITAL.", ["lima", "the", "capital"]),
        ("ﬁne ① Straße", ["fine", "1", "strasse"]),
        ("snake_case it's", ["snake", "case", "it", "s"]),
        ("東京はcity", ["東", "京", "は", "city"]),
        (" ... ", []),
    ],
)
def test_words_are_what_is_compared(text: str, expected: list[str]) -> None:
    assert words(text) == expected
