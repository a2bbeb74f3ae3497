from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.tagger import load_tagger
from openrealm.masking.anchors import Anchors


def found(text: str, *names: str) -> list[str]:
    return [text[span.start : span.end] for span in Anchors(names).spans(text)]


@pytest.mark.parametrize(
    ("names", "text", "expected"),
    [
        (["Lima"], "Lima is in Lima. Limassol is not, nor Lima2.", ["Lima", "Lima"]),
        (["La Paz", "La Paz River"], "near La Paz, the La Paz River", ["La Paz", "La Paz River"]),
        (["Congo (Brazzaville)"], "in Congo.", ["Congo"]),
        (["St. Louis"], "in St. Louis; of St. Peter", ["St. Louis"]),
        (["river", "The", "A", "7"], "The river, A, 7", []),
        (["iPod", "The Wall", "The Who"], "The Who, The Wall, an iPod", ["The Wall", "iPod"]),
        (["Zürich"], "nach Zürich, in zürich", ["Zürich"]),
        (["Ελλάδα"], "στην Ελλάδα.", ["Ελλάδα"]),
        (["東京", "東京都", "山"], "私は東京都と東京の山", ["東京都", "東京"]),
        (["القاهرة"], "في القاهرة والقاهرة", ["القاهرة"]),
        (["กรุงเทพ"], "ที่กรุงเทพมี", ["กรุงเทพ"]),
        (["New York"], "New\nYork", []),
    ],
)
def test_names_are_found_in_any_script(names: list[str], text: str, expected: list[str]) -> None:
    assert found(text, *names) == expected


@given(
    st.lists(st.text(alphabet="Ab 東.", min_size=1, max_size=5), max_size=6), st.text(alphabet="Ab 東.", max_size=20)
)
def test_the_search_agrees_with_trying_every_name_everywhere(names: list[str], text: str) -> None:
    spans = Anchors(names).spans(text)
    assert all(a.end <= b.start for a, b in itertools.pairwise(spans))
    assert spans == sorted(spans, key=lambda span: span.start)
    alone = [Anchors([name]) for name in names]
    every = {(span.start, span.end) for one in alone for span in one.spans(text)}
    for span in spans:
        assert (span.start, span.end) in every
        assert not any(start == span.start and end > span.end for start, end in every)


def test_a_link_anywhere_is_a_name_everywhere() -> None:
    text = "In a town, Ana saw the Rímac. The town is old."
    start = text.index("Rímac")
    tagger = load_tagger("anchors")
    tagger.learn(["Lima (Peru)", text[start : start + 5], "town"])
    other = "Rímac, Lima, 12 May 2008: 7 km of town."
    assert [(other[s.start : s.end], s.kind) for s in tagger.tag([other])[0]] == [
        ("Rímac", "entity"),
        ("Lima", "entity"),
        ("12 May 2008", "date"),
        ("7 km", "number"),
    ]
    assert tagger.name == "anchors"
