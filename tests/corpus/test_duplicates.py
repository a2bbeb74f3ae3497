from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.duplicates import groups_of, normalised, text_key


@given(st.lists(st.integers(0, 5), max_size=30))
def test_a_group_is_named_by_the_first_of_its_passages(keys: list[int]) -> None:
    expected = [keys.index(key) for key in keys]
    assert groups_of(np.array(keys, dtype=np.uint64)).tolist() == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [("Lima, the capital.", "LIMA the Capital"), ("ﬁne ①", "fine 1"), ("Straße", "STRASSE"), ("a\nb", "a b")],
)
def test_spelling_of_the_same_words_is_one_text(one: str, other: str) -> None:
    assert text_key(one) == text_key(other)


@pytest.mark.parametrize(("one", "other"), [("Lima", "Lime"), ("1821", "1812"), ("...", "!!!"), ("東京", "京東")])
def test_other_words_are_another_text(one: str, other: str) -> None:
    assert text_key(one) != text_key(other)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=30))
def test_the_key_depends_on_the_normalised_text_alone(text: str) -> None:
    if normalised(text):
        assert text_key(text) == text_key(f" {text}!? ")
    assert 0 <= text_key(text) < 1 << 64


@given(st.text() | st.text(st.characters(codec="ascii")))
def test_only_letters_and_digits_are_compared(text: str) -> None:
    folded = unicodedata.normalize("NFKC", text).casefold()
    assert normalised(text) == "".join(c for c in folded if c.isalnum())
