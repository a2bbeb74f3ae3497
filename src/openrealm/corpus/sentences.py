"""A small rule-based sentence splitter whose slices, concatenated, are the text."""

from __future__ import annotations

import re

# A sentence ends after a newline, after CJK stops, or after . ! ? … (with closing quotes or brackets) and white space.
# A single character class at the front lets the search skip everything else quickly.
_BOUND = re.compile(r"[\n。！？.!?…](?:(?<=\n)\s*|(?<=[。！？])[。！？]*\s*|(?<=[.!?…])[.!?…]*[\"'”’»)\]]*\s+)")
_LETTERS_WITH_STOPS = re.compile(r"(?:\w\.)+\w")
_OPENERS = "\"'“‘«([{"

_NEVER_LAST_WORDS = (
    "mr mrs ms dr prof rev hon gen col maj capt cpt lt sgt gov sen rep pres amb st sts mt ft vs cf viz approx ca fig "
    "figs eq no nos vol vols pp ed eds trans e.g i.e al jan feb mar apr jun jul aug sep sept oct nov dec"
)
_RARELY_LAST_WORDS = "etc est inc ltd co corp jr sr esq dept univ a.m p.m u.s u.k u.n d.c b.c a.d"
_NEVER_LAST = frozenset(_NEVER_LAST_WORDS.split())
_RARELY_LAST = frozenset(_RARELY_LAST_WORDS.split())
_ABBREVIATIONS = _NEVER_LAST | _RARELY_LAST
_MAX_WORD = 40  # number of characters searched backwards for the word before a full stop


def sentence_bounds(text: str) -> list[tuple[int, int]]:
    """Half-open character ranges of the sentences of `text`, in order, covering it without gaps.

    A newline always ends a sentence; ";", abbreviations, initials and decimals never do. White space belongs to the
    sentence before it. Empty text has no sentences.
    """
    bounds: list[tuple[int, int]] = []
    start = 0
    for match in _BOUND.finditer(text):
        stop, end = match.span()
        if end < len(text) and (_is_plain(text, start, stop, end) or _ends_sentence(text, start, match)):
            bounds.append((start, end))
            start = end
    if start < len(text):
        bounds.append((start, len(text)))
    return bounds


def _is_plain(text: str, start: int, stop: int, end: int) -> bool:
    """A fast test for the most common end: a lower-case word that is not an abbreviation, ". ", then no lower case."""
    if end - stop != 2 or text[stop] != "." or text[end].islower() or text[end] in _OPENERS:
        return False
    word = text[text.rfind(" ", max(start, stop - _MAX_WORD), stop) + 1 or max(start, stop - _MAX_WORD) : stop]
    return len(word) > 1 and word.isascii() and word.islower() and word.isalpha() and word not in _ABBREVIATIONS


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    mark = match.group()
    if "\n" in mark or mark[0] in "。！？":
        return True
    following = text[match.end() : match.end() + 3].lstrip(_OPENERS)
    if following[:1].islower():
        return False
    if mark[0] != "." or mark.startswith(".."):
        return True
    return not _is_abbreviation(text[max(start, match.start() - _MAX_WORD) : match.start()], following)


def _is_abbreviation(before: str, following: str) -> bool:
    """Whether the full stop after `before` belongs to an abbreviation or an initial rather than ending a sentence."""
    word = before.rsplit(None, 1)[-1].lstrip(_OPENERS) if before and not before[-1].isspace() else ""
    folded = word.casefold()
    if folded in _NEVER_LAST:
        return folded not in ("no", "nos") or following[:1].isdigit()
    if folded in _RARELY_LAST:
        return not following[:1].isupper()
    is_initial = (len(word) == 1 and word.isupper()) or _LETTERS_WITH_STOPS.fullmatch(word) is not None
    previous = before[: -len(word)].rstrip() if word else ""
    return is_initial and not previous[-1:].isdigit()  # "77 03 W. Time": a bearing, not an initial
