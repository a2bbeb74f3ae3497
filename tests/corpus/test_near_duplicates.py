"""Groups of passages that leak: against a slow reference, and on planted copies."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.duplicates import groups_of, text_key
from openrealm.corpus.near_duplicates import MIN_RARE, MIN_SHARE, MIN_SHARED, near_groups, near_matches
from openrealm.corpus.shingles import REACH, HashedWords, shared_shingles
from openrealm.corpus.sources import jsonl

SIMPLE_WIKIPEDIA = Path(__file__).parents[3] / "shared" / "data" / "corpora" / "simplewiki-2021.jsonl.xz"
VOCABULARY = [f"w{number}" for number in range(3000)]
Ids = np.ndarray


def alone(count: int) -> Ids:
    return np.arange(count, dtype=np.int64)


def slow_groups(texts: list[str], group_N: Ids, max_group: int) -> list[int]:
    """The most alike first, each join a walk over all passages."""
    groups = group_N.tolist()
    firsts = [text if n == group_N[n] else "" for n, text in enumerate(texts)]
    shared = shared_shingles(HashedWords.of(firsts, lambda done: None), lambda done: None)
    pairs = zip(shared.share, shared.one, shared.other, shared.num_shared, shared.num_rare, strict=True)
    for share, one, other, num_shared, num_rare in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if (share >= MIN_SHARE and num_shared >= MIN_SHARED) or num_rare >= MIN_RARE:
            both = {groups[one], groups[other]}
            if len(both) == 2 and sum(group in both for group in groups) <= max_group:
                groups = [min(both) if group in both else group for group in groups]
    return groups


TEXTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=16).map(" ".join), min_size=1, max_size=12)


@given(TEXTS, st.integers(1, 6))
def test_groups_are_those_of_the_slow_way(texts: list[str], max_group: int) -> None:
    start = groups_of(np.array([text_key(text) for text in texts], dtype=np.uint64))
    found = near_groups(iter(texts), start, max_group=max_group)
    assert found.tolist() == slow_groups(texts, start, max_group)
    assert (found <= alone(len(texts))).all()
    assert (found[found] == found).all(), "a group is named by its first passage"
    assert (found[start] == found).all(), "equal texts stay together"


def passage(rng: random.Random, num_words: int = 120) -> list[str]:
    return rng.choices(VOCABULARY, k=num_words)


def changed(source: list[str], rng: random.Random) -> list[str]:
    """A tenth of the words replaced."""
    copy = list(source)
    for place in rng.sample(range(len(copy)), round(len(copy) / 10)):
        copy[place] = rng.choice(VOCABULARY)
    return copy


def shifted(source: list[str], rng: random.Random) -> list[str]:
    """A window that begins in the middle and goes on elsewhere."""
    half = len(source) // 2
    return source[half:] + rng.choices(VOCABULARY, k=half)


PLANTED: list[tuple[Callable[[list[str], random.Random], list[str]], float]] = [
    (lambda source, rng: list(source), 0.99),
    (changed, 0.95),
    (shifted, 0.95),
]


def share_found(texts: list[list[str]], make: Callable[[list[str], random.Random], list[str]]) -> float:
    """How many of the copies made of every fifth text are put into its group."""
    rng = random.Random(1)
    originals = range(0, len(texts), 5)
    whole = [*texts, *(make(texts[n], rng) for n in originals)]
    groups = near_groups((" ".join(text) for text in whole), alone(len(whole)))
    return float(np.mean([groups[n] == groups[len(texts) + i] for i, n in enumerate(originals)]))


@pytest.mark.parametrize(("make", "fewest"), PLANTED, ids=["verbatim", "tenth changed", "shifted by half"])
@pytest.mark.parametrize("num_words", [40, 200])
def test_planted_copies_are_found(
    make: Callable[[list[str], random.Random], list[str]], fewest: float, num_words: int
) -> None:
    rng = random.Random(0)
    assert share_found([passage(rng, num_words) for _ in range(500)], make) >= fewest


@pytest.mark.skipif(not SIMPLE_WIKIPEDIA.exists(), reason="../shared/data holds no Simple Wikipedia")
@pytest.mark.parametrize(("make", "fewest"), PLANTED, ids=["verbatim", "tenth changed", "shifted by half"])
def test_planted_copies_are_found_among_real_text(
    make: Callable[[list[str], random.Random], list[str]], fewest: float
) -> None:
    texts = [text for a in islice(jsonl.read(SIMPLE_WIKIPEDIA), 600) if len(text := a.text.split()[:200]) >= 40]
    assert len(texts) > 300
    assert share_found(texts, make) >= fewest


def test_texts_that_have_nothing_to_do_with_each_other_stay_apart() -> None:
    rng = random.Random(0)
    texts = [" ".join(passage(rng)) for _ in range(300)]
    assert near_groups(texts, alone(300)).tolist() == list(range(300))


def test_a_sentence_that_hardly_any_other_passage_has_is_enough_and_a_common_one_is_not() -> None:
    rng = random.Random(0)
    sentence = passage(rng, 16)
    for num_passages, num_groups in ((3, 1), (30, 30)):
        texts = [" ".join(passage(rng, 100) + sentence + passage(rng, 100)) for _ in range(num_passages)]
        assert len(set(near_groups(texts, alone(num_passages), max_group=99).tolist())) == num_groups


def test_a_chain_is_cut_where_its_passages_are_least_alike() -> None:
    rng = random.Random(0)
    stream = passage(rng, 1000)
    # Windows of 100 words; each shares 90 with the next, but only 50 after every fourth.
    starts = np.cumsum([0, *([10, 10, 10, 50] * 4)])[:16]
    texts = [" ".join(stream[start : start + 100]) for start in starts]
    assert near_groups(texts, alone(16), max_group=4).tolist() == [n // 4 * 4 for n in range(16)]
    assert near_groups(texts, alone(16), max_group=16).tolist() == [0] * 16
    assert np.bincount(near_groups(texts, alone(16))).max() <= 8, "where nothing is said, most passages stay free"


def test_many_passages_of_one_template_come_together_though_each_meets_few() -> None:
    texts = [f"{name} is a small village in the north of the country near the sea" for name in VOCABULARY[:200]]
    assert set(near_groups(texts, alone(200), max_group=200).tolist()) == {0}
    assert REACH < 200


@given(TEXTS, TEXTS)
def test_matches_are_the_pairs_across(x_texts: list[str], z_texts: list[str]) -> None:
    keys = [text_key(text) for text in z_texts]
    group_N = groups_of(np.array(keys, dtype=np.uint64))
    told: list[int] = []
    x, groups = near_matches(iter(x_texts), iter(z_texts), group_N, progress=told.append)
    assert sum(told) == 2 * (len(x_texts) + len(z_texts))
    together = HashedWords.of([*z_texts, *x_texts], lambda done: None)
    shared = shared_shingles(together, lambda done: None, num_first=len(z_texts))
    expected = {(n, int(group_N[keys.index(key)])) for n, key in enumerate(map(text_key, x_texts)) if key in keys}
    pairs = zip(shared.one, shared.other, shared.share, shared.num_shared, shared.num_rare, strict=True)
    for z, other, share, num_shared, num_rare in pairs:
        if (share >= MIN_SHARE and num_shared >= MIN_SHARED) or num_rare >= MIN_RARE:
            expected.add((int(other) - len(z_texts), int(group_N[z])))
    assert list(zip(x.tolist(), groups.tolist(), strict=True)) == sorted(expected)
