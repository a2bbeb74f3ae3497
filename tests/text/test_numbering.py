from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.text import numbering
from openrealm.text.numbering import Numbering, codes_of, keys_of

stretches = st.lists(st.text(alphabet="ab\u0301é𝒳\ud800", max_size=6) | st.text(max_size=12), max_size=12)


def keys(some: list[str]) -> list[int]:
    """Keys of stretches with one character between each and the next."""
    ends = np.cumsum([len(s) + 1 for s in some], dtype=np.int64) - 1
    starts = ends - np.array([len(s) for s in some], dtype=np.int64)
    return keys_of(codes_of(" ".join(some)), starts, ends).tolist()


@given(some=stretches, window=st.integers(1, 8), longest=st.integers(0, 6))
def test_keys_agree_where_the_stretches_do_wherever_they_stand(some: list[str], window: int, longest: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbering, "_WINDOW", window)
        patch.setattr(numbering, "_MAX_POLYNOMIAL", longest)
        found = keys(some)
    pairs = set(zip(some, found, strict=True))
    assert len(pairs) == len(set(some)) == len(set(found))
    assert 0 not in found


def test_a_stretch_longer_than_every_window_and_the_ones_beside_it() -> None:
    long = "x" * (3 * numbering._WINDOW)
    found = keys(["peru", long, "peru", long + "x", "lima", "lima"])
    assert found[0] == found[2] != found[4] == found[5]
    assert len(set(found)) == 4


def test_stretches_that_end_in_nul_are_told_from_shorter_ones() -> None:
    some = ["0", "0\0", "0\0\0", "1", "/\0\0", "\0", "\0\0"]
    assert len(set(keys(some))) == len(some)


def test_texts_made_so_that_polynomials_agree_are_told_apart() -> None:
    # The sequence of Thue and Morse and its opposite: their difference is 0 in every base, modulo 2 to the power of 64.
    one = "".join("ab"[n.bit_count() % 2] for n in range(1 << 12))
    other = "".join("ba"[n.bit_count() % 2] for n in range(1 << 12))
    assert len(set(keys([one, other]))) == 2


# Keys that want the same few slots.
crowded = st.integers(0, 40).map(lambda n: (n % 3) << 62 | n << 1 | 1)


@given(calls=st.lists(st.lists(crowded, unique=True), max_size=6))
def test_numbers_are_those_of_a_dictionary(calls: list[list[int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbering, "_MIN_SLOTS", 2)
        numbers, known = Numbering(), dict[int, int]()
    for some in calls:
        asked = np.array(some, dtype=np.uint64)
        assert numbers.find(asked).tolist() == [known.get(key, -1) for key in some]
        new = [key for key in some if key not in known]
        numbers.add(np.array(new, dtype=np.uint64))
        known |= {key: len(known) + n for n, key in enumerate(new)}
        assert len(numbers) == len(known)
    every = list(chain.from_iterable(calls))
    assert numbers.find(np.array(every, dtype=np.uint64)).tolist() == [known[key] for key in every]


def test_a_hundred_thousand_keys() -> None:
    asked = np.random.default_rng(0).integers(1, 1 << 63, 100_000).astype(np.uint64) | np.uint64(1)
    numbers = Numbering()
    for part in np.array_split(np.unique(asked), 37):
        numbers.add(part)
    found = numbers.find(asked)
    assert len(np.unique(found)) == len(np.unique(asked)) == len(numbers)
    assert numbers.find(asked + np.uint64(1)).max() == -1
