from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.tagger import load_tagger
from openrealm.errors import BadConfig, BadInput
from openrealm.masking.gazetteer import Gazetteer
from openrealm.masking.spans import resolve
from openrealm.masking.tagger import RulesTagger
from openrealm.registry import RULES
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
    text = "Bolivia is high."
    assert tagger.tag([text]) == [[]]
    tagger.learn(["Bolivia"])
    assert tagger.tag([text]) == [[Span(0, 7, "entity")]]
    assert tagger.name == "rules"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "There is no tagger ''; choose from anchors, hf, rules, spacy"),
        (":x", "There is no tagger ''"),
        ("rule", "There is no tagger 'rule'; .*did you mean rules"),
        ("rules:x", "There is no rule 'x'; choose from dates, entities, numbers"),
        ("rules:dates,dates", 'The tagger "rules:dates,dates" names a rule twice'),
        ("anchors:x", "The tagger 'anchors' takes no argument, but 'anchors:x' gives one"),
        ("spacy", "The tagger 'spacy' needs an argument; write spacy:MODEL"),
        ("spacy:", "The tagger 'spacy' needs an argument; write spacy:MODEL"),
        ("hf:", "The tagger 'hf' needs an argument; write hf:MODEL"),
    ],
)
def test_unknown_taggers_are_refused(name: str, message: str) -> None:
    with pytest.raises(BadConfig, match=message):
        load_tagger(name)


def ships(texts: Sequence[str], _names: Gazetteer) -> list[list[Span]]:
    return [[Span(m.start(), m.end(), "entity") for m in re.finditer(r"\bHMS \w+", text)] for text in texts]


@pytest.fixture
def ships_rule() -> Iterator[None]:
    """The rule "ships", added as a user adds it."""
    RULES.add("ships", ships)
    yield
    RULES.remove("ships")


def test_the_default_rules_in_any_order_are_the_tagger_rules() -> None:
    assert load_tagger("rules:numbers,dates,entities").name == load_tagger("rules").name == "rules"
    assert load_tagger("rules:dates, numbers").name == "rules:dates,numbers"
    assert load_tagger("rules:dates").tag(["Lima in 1821"]) == [[Span(8, 12, "date")]]


def test_a_rule_of_the_users_own_joins_by_name(ships_rule: None) -> None:
    tagger = load_tagger("rules:dates,ships")
    assert tagger.tag(["HMS beagle sailed in 1831.", "Nothing."]) == [
        [Span(0, 10, "entity"), Span(21, 25, "date")],
        [],
    ]
    assert tagger.name == "rules:dates,ships"
    assert load_tagger("rules").is_shared
    assert not tagger.is_shared, "worker processes would not find the rule"


def test_a_rule_that_loses_a_text_is_named(ships_rule: None) -> None:
    RULES.add("ships", lambda texts, names: [])
    with pytest.raises(BadInput, match='The rule "ships" returned 0 lists of spans for 1 texts'):
        load_tagger("rules:ships").tag(["HMS Beagle"])
