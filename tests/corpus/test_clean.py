from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.clean import (
    check_line_lengths,
    clean_text,
    clean_title,
    strip_tags,
)
from openrealm.errors import BadInput
from openrealm.types import DEFAULT_LIMITS

special = st.sampled_from("\n\r\t\xa0\x85\u2028\u202e\x00\ud800 &;\u200c\u200dک\u0dca")
any_text = st.text(alphabet=st.characters() | special, max_size=80)


@given(any_text)
def test_what_is_cleaned_is_visible_and_valid(text: str) -> None:
    cleaned = clean_text(text)
    cleaned.encode("utf-8")
    assert all(unicodedata.category(c) != "Cc" or c == "\n" for c in cleaned)
    assert not set(cleaned) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200e\u200f\ufeff")
    assert "  " not in cleaned
    assert "\n\n" not in cleaned
    assert cleaned == cleaned.strip()


@given(any_text)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    cleaned = clean_text(text, entities=False)
    assert clean_text(cleaned, entities=False) == cleaned


@given(st.text(alphabet="abcé東1.,!?", max_size=40))
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c"),
        ("C&ocirc;te&nbsp;d&rsquo;Ivoire", "Côte d’Ivoire"),
        ("one\r\n\r\n  two\x0bthree\u2028four", "one\ntwo\nthree\nfour"),
        ("ad\u202eversary\x00 \ud800.", "adversary \ufffd."),
        ("soft\xadhyphen zero\u200bwidth", "softhyphen zerowidth"),
        ("  \t\n ", ""),
        ("او می\u200cخواهم را گفت.", "او می\u200cخواهم را گفت."),
        ("۲۰\u200cساله &zwnj;کتاب&zwnj;ها", "۲۰\u200cساله کتاب\u200cها"),
        ("ශ්\u200dරී ලංකා", "ශ්\u200dරී ලංකා"),
        ("അവന്\u200d വന്നു", "അവന്\u200d വന്നു"),
        ("র\u200d্যাব", "র\u200d্যাব"),
        ("👨\u200d👩\u200d👧 🏳️\u200d🌈 👩🏽\u200d⚕️", "👨\u200d👩\u200d👧 🏳️\u200d🌈 👩🏽\u200d⚕️"),
        ("\u200cکتاب\u200c و\u200c \u200cقلم\u200c.\u200d\nمی\u200c\u200c\u200dرود\u200c", "کتاب و قلم.\nمی\u200cرود"),
    ],
)
def test_cleaning_by_example(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


def test_entities_stay_where_they_are_not_markup() -> None:
    assert clean_text("write &lt; for <", entities=False) == "write &lt; for <"


def test_a_title_has_one_line() -> None:
    assert clean_title(" Peru\n(country) ") == "Peru (country)"


def test_tags_go_and_breaks_become_lines() -> None:
    assert strip_tags("a<br><br/>b <em lang='x'>c</em><!-- d\n --> 1 < 2 > 0") == "a\n\nb c 1 < 2 > 0"


def test_an_endless_line_is_refused_with_its_number() -> None:
    check_line_lengths("x" * 1_000_000, "file.txt", DEFAULT_LIMITS)
    with pytest.raises(BadInput, match=r"file\.txt: line 2 has 1,000,001 characters.*break it into lines"):
        check_line_lengths("short\n" + "x" * 1_000_001, "file.txt", DEFAULT_LIMITS)
