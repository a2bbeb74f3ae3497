"""Keys of words, compared with the words themselves."""

from __future__ import annotations

from itertools import chain

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from openrealm.text.words import word_keys, words

texts = st.lists(st.text(alphabet="aB_é9 ΑΣİß,\n𝒳\ud800", max_size=12) | st.text(max_size=20), max_size=6)


@given(texts)
def test_keys_are_those_of_the_words_of_each_text(some: list[str]) -> None:
    keys, counts = word_keys(some)
    expected = [words(text) for text in some]
    assert counts.tolist() == list(map(len, expected))
    pairs = set(zip(chain.from_iterable(expected), keys.tolist(), strict=True))
    assert len(pairs) == len({word for word, _ in pairs}) == len({key for _, key in pairs})


def test_keys_are_the_same_in_every_process() -> None:
    keys, _ = word_keys(["Lima", "x" * 300])
    assert keys.tolist() == [10579392263037026855, 13728530293875788793]


def test_no_texts_have_no_words() -> None:
    keys, counts = word_keys([])
    assert keys.dtype == np.uint64
    assert len(keys) == len(counts) == 0
