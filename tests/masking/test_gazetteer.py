from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.masking.gazetteer import Gazetteer, entity_spans


def entities(text: str, *others: str, names: tuple[str, ...] = ()) -> list[str]:
    """Entities of `text`, tagged in one call with `others`."""
    [spans, *_] = entity_spans([text, *others], Gazetteer(names))
    assert all(span.kind == "entity" for span in spans)
    return [text[span.start : span.end] for span in spans]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("the capital is Lima", ["Lima"]),
        ("born in La Paz, near Lake Titicaca", ["La Paz", "Lake Titicaca"]),
        ("president Alberto FUJIMORI won", ["Alberto FUJIMORI"]),
        ("in the Bay of Bengal", ["Bay of Bengal"]),
        ("the Law of the Sea", ["Law of the Sea"]),
        ("a Department of Trade and Industry", ["Department of Trade and Industry"]),
        ("between Chile and Ecuador", ["Chile", "Ecuador"]),
        ("of Rio de la Plata", ["Rio de la Plata"]),
        ("with Côte d'Ivoire and al-Qa'ida", ["Côte d'Ivoire", "al-Qa'ida"]),
        ("by Peru's Congress", ["Peru", "Congress"]),
        (
            "saw J. K. Rowling in St. Petersburg, U.S. and Tel Aviv-Yafo",
            ["J. K. Rowling", "St. Petersburg", "U.S.", "Tel Aviv-Yafo"],
        ),
        ("a Soviet-era base, the UK-led Joint Force", ["Soviet", "UK", "Joint Force"]),
        ("the G-20 and COVID-19", ["G-20", "COVID-19"]),
        ("it says The and May and I", []),
        ("at 77 03 W, 12 03 S", []),
        ("at 77 03 W. Time is short", []),
        ("he served in World War I. After that he left", ["World War I"]),
        ("he served in World War I. Germany lost it", ["World War I"]),
        ("found by Brig. Gen. Holt in the U.S. Senate", ["Brig. Gen. Holt", "U.S. Senate"]),
        ("with Lt. Col. Anna Berg. She left", ["Lt. Col. Anna Berg"]),
        ("no name here", []),
        ("", []),
    ],
)
def test_names_inside_a_sentence(text: str, found: list[str]) -> None:
    assert entities(f"it is so: {text}") == found


def test_a_word_that_opens_a_sentence_needs_evidence() -> None:
    text = "Climate varies. Bolivia is high."
    assert entities(text) == []
    assert entities(text, "they went to Bolivia") == ["Bolivia"]
    assert entities(text, "the river of Bolivia", "bolivia bolivia") == []
    assert entities(text, "Bolivia opens this one too") == []
    assert entities(text, names=("Bolivia",)) == ["Bolivia"]
    assert entities(text, "a Bolivia Treaty") == [], "part of a longer name says nothing about the word alone"


def test_longer_runs_open_sentences_unless_their_first_word_is_common() -> None:
    assert entities("Nevado Huascaran is high.") == ["Nevado Huascaran"]
    assert entities("Former Yugoslavia. The Hague. In Peru it rains.") == ["Yugoslavia", "Hague", "Peru"]
    assert entities("Southern Peru is dry.", "the southern part") == ["Peru"]


def test_a_possessive_joins_a_common_word_to_a_name() -> None:
    assert entities("it is the People's Party", "the people voted") == ["People's Party"]
    assert entities("it is Peru's Party", "the people voted") == ["Peru", "Party"]


def test_known_names_are_found_whole_and_longest_first() -> None:
    names = ("Trinidad and Tobago", "Trinidad", "Saint Helena, Ascension, and Tristan da Cunha", "Congo (Brazzaville)")
    assert entities("Trinidad and Tobago, not Trinidad.", names=names) == ["Trinidad and Tobago", "Trinidad"]
    assert entities("near Saint Helena, Ascension, and Tristan da Cunha.", names=names) == [names[2]]
    assert entities("Congo is wide.", names=names) == ["Congo"]
    assert entities("in Trinidadian waters", names=("Trinidad",)) == ["Trinidadian"]


def test_names_that_are_common_words_are_not_taken() -> None:
    assert entities("The end. A climate. I see.", names=("The", "A", "climate", "I", "")) == []


@given(st.lists(st.text(max_size=60) | st.text(alphabet="Aab .-'’\nd&", max_size=60), max_size=4))
def test_spans_are_sorted_and_do_not_overlap(texts: list[str]) -> None:
    for text, spans in zip(texts, entity_spans(texts, Gazetteer(["Aa", "Aa b"])), strict=True):
        end = 0
        for span in spans:
            assert end <= span.start < span.end <= len(text)
            end = span.end


@given(st.lists(st.sampled_from(["Lima", "is", "the", "Rio", "of", "and", "Peru", "1821"]), max_size=8))
def test_every_entity_opens_with_a_capital_and_ends_in_a_word(words: list[str]) -> None:
    text = "so: " + " ".join(words)
    for entity in entities(text):
        assert entity[0].isupper()
        assert entity.split()[-1] in {"Lima", "Rio", "Peru"}
