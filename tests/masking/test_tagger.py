from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.protocols import LearnsTitles
from openrealm.errors import BadConfig
from openrealm.masking.tagger import RulesTagger, load_tagger, resolve
from openrealm.types import Span

kinds = st.sampled_from(["entity", "date", "number"])
spans = st.lists(
    st.builds(
        lambda start, length, kind: Span(start, start + length, kind), st.integers(0, 20), st.integers(0, 8), kinds
    ),
    max_size=8,
)


@given(spans)
def test_what_stays_does_not_overlap_and_what_goes_is_beaten(found: list[Span]) -> None:
    kept = resolve(found)
    assert kept == sorted(kept, key=lambda span: span.start)
    assert all(before.end <= after.start for before, after in pairwise(kept))
    rank = {"date": 0, "entity": 1, "number": 2}
    for span in set(found) - set(kept):
        rivals = [other for other in kept if other.start < span.end and span.start < other.end]
        key = (span.start - span.end, rank[span.kind], span.start)
        assert span.start == span.end or any((r.start - r.end, rank[r.kind], r.start) <= key for r in rivals)


def test_of_equal_length_a_date_wins_over_a_name_and_a_name_over_a_number() -> None:
    all_three = [Span(0, 4, "number"), Span(0, 4, "entity"), Span(0, 4, "date")]
    assert resolve(all_three) == [Span(0, 4, "date")]
    assert resolve(all_three[:2]) == [Span(0, 4, "entity")]
    assert resolve([*all_three, Span(0, 7, "number")]) == [Span(0, 7, "number")]


def test_the_rules_put_together() -> None:
    text = "Independence: 28 July 1821 (from Spain); Brazil 2,659 km; 1529 km of coast in 1529."
    [found] = RulesTagger().tag([text])
    assert [(text[span.start : span.end], span.kind) for span in found] == [
        ("28 July 1821", "date"),
        ("Spain", "entity"),
        ("Brazil", "entity"),
        ("2,659 km", "number"),
        ("1529 km", "number"),
        ("1529", "date"),
    ]


def test_titles_that_were_learnt_are_names() -> None:
    tagger = load_tagger("rules")
    assert isinstance(tagger, LearnsTitles)
    text = "Bolivia is high."
    assert tagger.tag([text]) == [[]]
    tagger.learn(["Bolivia"])
    assert tagger.tag([text]) == [[Span(0, 7, "entity")]]
    assert tagger.name == "rules"


@pytest.mark.parametrize("name", ["", "rule", "rules:x", "anchors:x", "spacy:", "hf:", "spacy", ":x"])
def test_unknown_taggers_are_refused(name: str) -> None:
    with pytest.raises(BadConfig, match=f'The tagger "{name}" is unknown; use "rules", "anchors"'):
        load_tagger(name)
