from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus import sentences as module
from openrealm.corpus.sentences import sentence_bounds


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_bounds(text)]


@given(st.text(max_size=120) | st.text(alphabet="aB1.!?;,\"') \nDr。…", max_size=120))
def test_slices_put_end_to_end_are_the_text(text: str) -> None:
    bounds = sentence_bounds(text)
    assert "".join(text[start:end] for start, end in bounds) == text
    assert all(start < end for start, end in bounds)
    assert all(before[1] == after[0] for before, after in pairwise(bounds))


@given(
    st.lists(st.text(alphabet="aB1., ", min_size=1, max_size=20).map(lambda line: f"x{line}"), min_size=1, max_size=6)
)
def test_a_newline_always_ends_a_sentence(lines: list[str]) -> None:
    starts = {start for start, _ in sentence_bounds("\n".join(lines))}
    position = 0
    for line in lines:
        assert position in starts
        position += len(line) + 1


_WORDS = "Lima a etc st ſt u.s No I 5 ... peru's B. x\u0301 (so éa approx ﬁn"
words = st.sampled_from([*_WORDS.split(" "), '"so so."'])


@given(st.lists(words | st.sampled_from([". ", ".", ", ", "\n", ".) ", " "]), max_size=12).map("".join))
def test_the_quick_look_finds_what_the_whole_rule_finds(text: str) -> None:
    quick = sentence_bounds(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_is_plain", lambda *_: False)
        assert quick == sentence_bounds(text)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Lima is big. It is old.", ["Lima is big. ", "It is old."]),
        ("Really? Yes! Good.", ["Really? ", "Yes! ", "Good."]),
        ('He said "no." Then he left.', ['He said "no." ', "Then he left."]),
        ("One; two. Three", ["One; two. ", "Three"]),
        ("It is 3.14 km. Next", ["It is 3.14 km. ", "Next"]),
        ("Dr. Smith met Mr. J. K. Rowling. He left.", ["Dr. Smith met Mr. J. K. Rowling. ", "He left."]),
        ("In the U.S. in 1999. Later", ["In the U.S. in 1999. ", "Later"]),
        ("Apples, pears etc. are fruit. Yes", ["Apples, pears etc. are fruit. ", "Yes"]),
        ("Apples, pears etc. Yes", ["Apples, pears etc. ", "Yes"]),
        ("At 12 03 S, 77 03 W. Time: UTC-5.", ["At 12 03 S, 77 03 W. ", "Time: UTC-5."]),
        ("See No. 5 here. No. Yes.", ["See No. 5 here. ", "No. ", "Yes."]),
        ("Grown (2023 est.). Industry", ["Grown (2023 est.). ", "Industry"]),
        ("Wait... what? Oh", ["Wait... what? ", "Oh"]),
        ("東京は首都です。大阪は違う。", ["東京は首都です。", "大阪は違う。"]),
        ("Title\nBody text\n\nMore", ["Title\n", "Body text\n\n", "More"]),
        ("", []),
    ],
)
def test_splitting_by_example(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


def test_a_million_characters_without_a_bound_take_no_time() -> None:
    start = time.perf_counter()
    assert len(sentence_bounds("a." * 500_000)) == 1
    assert len(sentence_bounds("Ab. " * 250_000)) == 250_000
    assert time.perf_counter() - start < 10
