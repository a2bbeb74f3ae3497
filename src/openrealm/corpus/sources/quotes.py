"""Apostrophes for italics and bold, removed by the rules of MediaWiki (`Parser::doQuotes`)."""

from __future__ import annotations

import re

_RUNS = re.compile("('{2,})")
_POSSESSIVE = re.compile(r"s(?!\w)")
_ELISION = re.compile(r"(?<!\w)(?:[cdjlmnst]|qu|un|[dn]ell|[ds]?all|sull)$", re.IGNORECASE)
_ITALIC, _BOLD, _BOTH = 2, 3, 5


def without_quotes(line: str) -> str:
    """A line of wikitext without the apostrophes that are markup; those that are text stay.

    MediaWiki finds one misread apostrophe in a line. Where it is certain, as in ''Time'''s, all are found here.

    >>> without_quotes("''The Mill'''s first act of l'''Odyssée''")
    "The Mill's first act of l'Odyssée"
    """
    if "''" not in line:
        return line
    pieces = _RUNS.split(line)
    texts, runs = pieces[::2], [len(run) for run in pieces[1::2]]
    for i, length in enumerate(runs):
        # Four are bold after an apostrophe, more than five are bold and italics after some.
        runs[i] = _BOLD if length == 4 else min(length, _BOTH)
        texts[i] += "'" * (length - runs[i])
    _correct_certain(texts, runs)
    if all(sum(length in (kind, _BOTH) for length in runs) % 2 for kind in (_ITALIC, _BOLD)):
        _correct_one(texts, runs)
    return "".join(texts)


def _correct_certain(texts: list[str], runs: list[int]) -> None:
    """Read ''Time'''s and l'''Odyssée'' as italics beside an apostrophe; text `i` stands before run `i`."""
    is_italic = is_bold = False
    for i, length in enumerate(runs):
        if length == _BOLD and not is_bold:
            ends = is_italic and _POSSESSIVE.match(texts[i + 1])
            begins = not is_italic and _ELISION.search(texts[i][-5:]) and runs[i + 1 : i + 2] == [_ITALIC]
            if ends or begins:
                _make_italic(texts, runs, i)
        is_italic ^= runs[i] in (_ITALIC, _BOTH)
        is_bold ^= runs[i] in (_BOLD, _BOTH)


def _correct_one(texts: list[str], runs: list[int]) -> None:
    """Read one bold mark as italics: the first after a word of one letter, else after a word, else after a space."""
    found: dict[str, int] = {}
    for i, length in enumerate(runs):
        if length == _BOLD:
            before = texts[i]
            is_letter = before[-2:-1] == " " and before[-1].isascii()  # MediaWiki compares bytes
            kind = "space" if before.endswith(" ") else "letter" if is_letter else "word"
            found.setdefault(kind, i)
    for kind in ("letter", "word", "space"):
        if kind in found:
            return _make_italic(texts, runs, found[kind])


def _make_italic(texts: list[str], runs: list[int], i: int) -> None:
    texts[i] += "'"
    runs[i] = _ITALIC
