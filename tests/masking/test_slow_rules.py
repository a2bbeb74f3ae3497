"""Names, dates and overlaps by a slow way that is easy to read, and the fast way held against it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openrealm.corpus.sentences import sentence_bounds
from openrealm.corpus.sources import jsonl
from openrealm.masking import dates, gazetteer, words
from openrealm.masking.dates import date_spans, number_spans
from openrealm.masking.gazetteer import Gazetteer, entity_spans
from openrealm.masking.spans import resolve
from openrealm.masking.stop_words import STOP_WORDS
from openrealm.types import Span

_PRIORITY = ("date", "entity", "number")


@dataclass(frozen=True)
class _Word:
    start: int
    end: int
    text: str
    stem: str
    is_capital: bool
    opens: bool


def slow_entity_spans(texts: Sequence[str], names: Iterable[str]) -> list[list[Span]]:
    known = [words.WORD.findall(re.sub(r"\(.*?\)", " ", name)) for name in names]
    known = [k for k in known if k and k[0][0].isupper() and any(w.casefold() not in STOP_WORDS and w[1:] for w in k)]
    words_of = [_words(text) for text in texts]
    lower = Counter(w.text for some in words_of for w in some if not w.is_capital)
    inside = Counter(
        w.stem for some in words_of for i, w in enumerate(some) if w.is_capital and not w.opens and _is_alone(some, i)
    )
    is_name = {stem for stem, count in inside.items() if count > lower[stem.lower()]}
    return [_spans(text, some, known, is_name, lower) for text, some in zip(texts, words_of, strict=True)]


def _words(text: str) -> list[_Word]:
    found: list[_Word] = []
    for start, end in sentence_bounds(text):
        for match in words.WORD.finditer(text):
            if start <= match.start() < end:
                word, opens = match.group(), not any(start <= w.start for w in found)
                is_capital = word[0].isupper() or re.match(words._CAPITAL_AFTER_PARTICLE, word) is not None
                found.append(_Word(*match.span(), word, re.sub(words._ENDING, "", word), is_capital, opens))
    return found


def _is_alone(some: list[_Word], i: int) -> bool:
    before = i > 0 and some[i - 1].is_capital and some[i].start - some[i - 1].end == 1
    after = i + 1 < len(some) and some[i + 1].is_capital and some[i + 1].start - some[i].end == 1
    return not before and not after


def _spans(text: str, some: list[_Word], known: list[list[str]], is_name: set[str], lower: Counter[str]) -> list[Span]:
    spans: list[Span] = []
    i = 0
    while i < len(some):
        num_words = _run_length(text, some, i, lower)
        if num_words and not _opens_name(some[i], num_words, is_name, lower):
            num_words = 0
        num_words = max([num_words, *(len(name) for name in known if _stands_at(name, some, i))])
        if num_words:
            last = some[i + num_words - 1]
            spans.append(Span(some[i].start, last.start + len(last.stem), "entity"))
        i += max(num_words, 1)
    return spans


def _stands_at(name: list[str], some: list[_Word], i: int) -> bool:
    there = some[i : i + len(name)]
    gaps = [b.start - a.end for a, b in pairwise(there)]
    opens = any(word.opens for word in there[1:])
    return [word.stem for word in there] == name and all(gap <= 2 for gap in gaps) and not opens


def _run_length(text: str, some: list[_Word], i: int, lower: Counter[str]) -> int:
    if not some[i].is_capital:
        return 0
    end, has_connector = i + 1, False
    while end < len(some):
        step = _step(some, end, has_connector)
        if not step or not all(_is_joined(text, some[k - 1], some[k], lower) for k in range(end, end + step)):
            break
        has_connector = has_connector or step > 1
        end += step
    return end - i


def _step(some: list[_Word], end: int, has_connector: bool) -> int:
    if some[end].is_capital:
        return 1
    if some[end].text not in words._CONNECTORS and not (has_connector and some[end].text == "and"):
        return 0
    num = 2 if end + 1 < len(some) and some[end + 1].text in words._AFTER_CONNECTOR else 1
    return num + 1 if end + num < len(some) and some[end + num].is_capital else 0


def _is_joined(text: str, before: _Word, after: _Word, lower: Counter[str]) -> bool:
    gap = text[before.end : after.start]
    if gap == ". ":
        return (len(before.text) == 1 or before.text in words._TITLES_BEFORE_NAMES) and not after.opens
    if before.stem != before.text:
        return gap == " " and "-" not in before.text and lower[before.stem.lower()] > 0
    return gap == " "


def _opens_name(word: _Word, num_words: int, is_name: set[str], lower: Counter[str]) -> bool:
    is_initial = len(word.text) == 1 and word.text not in "AI" and num_words > 1
    if word.stem.casefold() in STOP_WORDS and not is_initial:
        return False
    return not word.opens or word.stem in is_name or (num_words > 1 and not lower[word.stem.lower()])


def slow_date_spans(text: str) -> list[Span]:
    """The whole rule in one pattern, tried at every character."""
    before = r"(?<![\w$€£¥.,/])(?<!\d[-–])"
    part = r"(?:[Tt]he\s)?(?:(?:early|mid|late)(?:-to-late)?[-\s])?"
    pattern = f"{before}(?:{dates._DATE.pattern}|{part}(?:{dates._PERIOD}))"
    return [Span(*match.span(), "date") for match in re.finditer(pattern, text)]


def slow_number_spans(text: str) -> list[Span]:
    pattern = (
        rf"(?<![\w.,])(?<![^\W\d_][-–])(?:[$€£¥]\s?)?[-+]?\d(?:[\d,]*\d)?(?:\.\d+)?"
        rf"(?:\s?[%°]|(?:\s{dates._SCALE})?(?:[\s-]{dates._UNIT})?(?!\w))(?:/day)?"
    )
    return [Span(*match.span(), "number") for match in re.finditer(pattern, text)]


def slow_resolve(spans: Iterable[Span]) -> list[Span]:
    kept: list[Span] = []
    for span in sorted(set(spans), key=lambda s: (s.start - s.end, _PRIORITY.index(s.kind), s.start)):
        if span.start < span.end and all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda s: s.start)


SOME_WORDS = """
Lima is the The Rio of and Peru 1821 People's people J K K's I A St Mr UK-led Soviet-era d'Ivoire al-Qa'ida U.S. G-20 de
la e İstanbul ß Éa lima peru No etc Sept T 12 May 1990s early mid-16th century $5 500 B.C. km
"""
GAPS = [" "] * 5 + [". ", ", ", "\n", ".\n", " - ", "'", "? ", "… ", "。", "\x85", "  ", '." ', "(", "-"]
some_words = st.tuples(st.sampled_from(SOME_WORDS.split()), st.sampled_from(GAPS)).map("".join)
sentences = st.lists(some_words, max_size=14).map("".join)
texts = st.lists(sentences | st.text(max_size=40), max_size=4)


@given(texts=texts, more=texts, names=st.lists(sentences, max_size=4))
@settings(max_examples=100)
def test_names_are_those_of_the_slow_way(texts: list[str], more: list[str], names: list[str]) -> None:
    known = Gazetteer(names)
    for some in (texts, more, texts):  # the gazetteer remembers words from call to call
        assert entity_spans(some, known) == slow_entity_spans(some, names)


@given(texts=texts, more=texts)
def test_forgetting_words_changes_no_names(texts: list[str], more: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gazetteer, "_MAX_WORDS", 2)
        known = Gazetteer()
        for some in (texts, more, texts):
            assert entity_spans(some, known) == slow_entity_spans(some, ())


PARTS_OF_DATES = (
    "the |The |early |mid-|late |early-to-late |the\n|1990s|20th century|19th-century|5th centuries|12 May 2008"
    "|May 12, 2008|May| July|Jan. |1821|1939-45|2008-05-12|500 B.C.|A.D. 79|AD|44 BC| |-|–|.|,|$|€ |+5|1,234.5|%| km"
    "| million|/day| sq km|x|A|3rd|28-29 |°|breathe |s|'s|(|٣|12|0|/"
)
parts_of_dates = st.sampled_from(PARTS_OF_DATES.split("|"))


@given(st.lists(parts_of_dates, max_size=9).map("".join) | st.text(max_size=60))
@settings(max_examples=400)
def test_dates_and_numbers_are_those_of_the_slow_way(text: str) -> None:
    assert date_spans(text) == slow_date_spans(text)
    assert number_spans(text) == slow_number_spans(text)


spans = st.builds(
    lambda start, length, kind: Span(start, start + length, kind),
    st.integers(0, 20),
    st.integers(0, 8),
    st.sampled_from(_PRIORITY),
)


@given(st.lists(spans, max_size=12))
@settings(max_examples=200)
def test_overlaps_are_resolved_as_the_slow_way_does(found: list[Span]) -> None:
    assert resolve(found) == slow_resolve(found)


def test_real_articles_are_tagged_as_the_slow_way_does() -> None:
    source = Path(__file__).parents[3] / "shared" / "data" / "corpora" / "simplewiki-2021.jsonl.xz"
    if not source.is_file():
        pytest.skip(f"needs {source.name} in ../shared/data/corpora")
    articles = list(islice(jsonl.read(source), 40))
    titles, cut = [a.title for a in articles], [a.text[i : i + 700] for a in articles for i in (0, 700, 1400)]
    assert entity_spans(cut, Gazetteer(titles)) == slow_entity_spans(cut, titles)
    for text in cut:
        assert (date_spans(text), number_spans(text)) == (slow_date_spans(text), slow_number_spans(text))
