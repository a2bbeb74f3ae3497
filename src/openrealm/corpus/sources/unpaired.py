"""Takes markup that nothing closes out of the parser's hands, so that its time grows with the length of a page.

From every opening mark, mwparserfromhell reads to the end of the page; if none closes it, it reads all of that again. A
page of thousands of them would take hours, and of some kinds 25 are enough for minutes.
"""

from __future__ import annotations

import importlib
import re
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

from openrealm.corpus.sources.marks import SIGNS

# With so few the parser is fast enough, and it knows better than this module which of them are markup.
MAX_UNPAIRED = 64
_MAX_DEPTH = 90
_MAX_EQUALS = 1000
_HEADING = re.compile(r"^=.*$", re.MULTILINE)
_VALUE = re.compile(r"""=\s*(?:"[^"]*"|'[^']*'|(?P<quote>["']))""")
_OPENING = ("{{", "[[", "<", "{|", "[")
# Without groups but for tags, and with a letter first in each branch: that is several times as fast.
_MARKUP = r"\{\{+|\{\||\}\}+|\[\[|\]+|\|\}+|<(?P<slash>/?)(?P<tag>[^\s<>/]*)(?P<rest>[^<>]*)(?P<whole>>?)"


def without_unpaired(markup: str) -> str:
    """`markup` in which what cannot be markup is replaced by signs that `marks.signs_as_text` makes text again.

    That is done only where there is more of it than MAX_UNPAIRED, except where it would cost the parser exponential
    time. What is left is properly nested.
    """
    markup = _HEADING.sub(_plain_equals, markup)
    if "[[" in markup:
        markup = _link_to_page().sub(SIGNS["["] + "[", markup)
    if sum(markup.count(sign) for sign in _OPENING) <= MAX_UNPAIRED:
        return markup
    found = _Pairing(markup).unpaired()
    if len(found) <= MAX_UNPAIRED:
        return markup
    parts: list[str] = []
    end = 0
    for start, length in sorted(found):
        parts += [markup[end:start], *(SIGNS[sign] for sign in markup[start : start + length])]
        end = start + length
    return "".join([*parts, markup[end:]])


def _plain_equals(line: re.Match[str]) -> str:
    """A heading without signs in its middle; the parser crashes at 100,000 of them."""
    text = line.group()
    if text.count("=") <= _MAX_EQUALS:
        return text
    inner = text.strip().strip("=")
    return text.replace(inner, inner.replace("=", SIGNS["="]), 1)


class _Mark(NamedTuple):
    """An opening mark: "{", "[", "h" (an external link), "t" (a table) or the name of a tag in "<>".

    end  where it is open no longer; of a pair, where the closing mark begins
    """

    kind: str
    start: int
    length: int
    end: int


class _Pairing:
    """Finds the pairs of a page, from left to right: a closing mark belongs to the last opening one of its kind.

    Opening marks between the two belong to nothing.
    """

    def __init__(self, markup: str) -> None:
        self._markup = markup
        self._open: list[_Mark] = []
        self._num_open: Counter[str] = Counter()
        self._pairs: list[_Mark] = []
        self._is_deep = False
        self._unpaired: list[tuple[int, int]] = []
        self._verbatim_ends: dict[str, list[int]] = {}
        self._line_end = -1

    def unpaired(self) -> list[tuple[int, int]]:
        """Where each mark without a partner begins, and how many of its characters are to be replaced."""
        markup, verbatim_end = _patterns()
        for found in verbatim_end.finditer(self._markup):
            self._verbatim_ends.setdefault(found[1].lower(), []).append(found.end())
        take_in = {
            "{": self._opening_braces, "}": self._closing_braces, "[": self._opening_bracket,
            "]": self._closing_brackets, "|": self._end_of_table, "<": self._tag,
        }  # fmt: skip
        at = 0
        while match := markup.search(self._markup, at):
            start = match.start()
            while self._open and self._open[-1].end < start:
                self._drop_last()
            at = take_in[self._markup[start]](match) or match.end()
        endless = {f"<{name}>" for name in _definitions().SINGLE}  # such as <li>
        for mark in self._open:
            if mark.kind in endless:
                self._pairs.append(mark)
            else:
                self._unpaired.append((mark.start, mark.length))
        if self._is_deep or len(self._open) > _MAX_DEPTH:
            self._unpaired += self._too_deep()
        return self._unpaired

    def _too_deep(self) -> Iterator[tuple[int, int]]:
        """Pairs within so many others that the parser does not read them, and may mistake their ends."""
        ends: list[int] = []
        for pair in sorted(self._pairs, key=attrgetter("start")):
            while ends and ends[-1] < pair.start:
                ends.pop()
            if len(ends) < _MAX_DEPTH:
                ends.append(pair.end)
                continue
            yield pair.start, pair.length
            if pair.kind.startswith("<") and pair.end < len(self._markup):
                yield pair.end, 1

    def _push(self, kind: str, start: int, length: int = 1, end: int = sys.maxsize) -> None:
        self._open.append(_Mark(kind, start, length, end))
        self._num_open[kind] += 1

    def _pop(self) -> _Mark:
        last = self._open.pop()
        self._num_open[last.kind] -= 1
        return last

    def _pair_last(self, end: int, length: int = 1) -> None:
        """Close the last open mark, or the last characters of it, with what stands at `end`."""
        self._is_deep = self._is_deep or len(self._open) > _MAX_DEPTH
        last = self._pop()
        self._pairs.append(_Mark(last.kind, last.start + last.length - length, length, end))

    def _drop_last(self) -> None:
        last = self._pop()
        self._unpaired.append((last.start, last.length))

    def _reach(self, kind: str) -> bool:
        """Drop what was opened after the last open mark of a kind; False if there is none."""
        if not self._num_open[kind]:
            return False
        while self._open[-1].kind != kind:
            self._drop_last()
        return True

    # Each of these takes in a match of _MARKUP, and returns where the search goes on if not at its end.

    def _opening_braces(self, match: re.Match[str]) -> None:
        start, end = match.span()
        if match.group() != "{|":
            self._push("{", start, end - start)
        elif self._begins_line(start):
            self._push("t", start)

    def _closing_braces(self, match: re.Match[str]) -> None:
        self._close_braces(match.start(), match.end() - match.start())

    def _opening_bracket(self, match: re.Match[str]) -> None:
        start = match.start()
        if match.group() == "[[":
            self._push("[", start)
            return
        if self._line_end < start:
            self._line_end = self._markup.find("\n", start)
            self._line_end = len(self._markup) if self._line_end < 0 else self._line_end
        self._push("h", start, end=self._line_end)

    def _closing_brackets(self, match: re.Match[str]) -> None:
        start = match.start()
        num_brackets = match.end() - start
        while num_brackets:
            last = self._open[-1].kind if self._open else ""
            if last == "h" or (last == "[" and num_brackets > 1):
                self._pair_last(start)
                num_brackets -= 1 if last == "h" else 2
            elif not ((num_brackets > 1 and self._reach("[")) or self._reach("h")):
                return

    def _end_of_table(self, match: re.Match[str]) -> None:
        """Close a table with the first of several braces if it is one's end, and more with the others."""
        start = match.start()
        num_braces = match.end() - start - 1
        is_end = self._num_open["t"] and self._begins_line(start)
        if is_end and (num_braces == 1 or self._open[-1].kind == "t"):
            self._reach("t")
            self._pair_last(start)
            num_braces -= 1
        self._close_braces(start, num_braces)

    def _tag(self, match: re.Match[str]) -> int:
        if match["slash"]:
            self._close_tag((match["tag"] + match["rest"]).rstrip().lower() if match["whole"] else "", match.start())
            return match.start() + 1
        return self._open_tag(match)

    def _begins_line(self, start: int) -> bool:
        before = f"\n{self._markup[max(0, start - 2) : start]}"
        return before[-1] == "\n" or (before[-2] == "\n" and before[-1].isspace())

    def _close_braces(self, start: int, num_braces: int) -> None:
        while num_braces > 1 and self._reach("{"):
            last = self._open[-1]
            num_taken = 3 if min(num_braces, last.length) > 2 else 2
            self._pair_last(start, num_taken)
            num_braces -= num_taken
            num_left = last.length - num_taken
            if num_left > 1:
                self._push("{", last.start, num_left)
            elif num_left and num_taken == 2:
                self._unpaired.append((last.start, 1))  # the parser looks for the end of "{{{" first

    def _close_tag(self, name: str, start: int) -> None:
        """Pair a closing tag with its opening one; for the parser, a tag is none if another one's end comes first."""
        kind = f"<{name}>"
        while self._open and self._open[-1].kind.startswith("<") and self._open[-1].kind != kind:
            self._drop_last()
        if self._open and self._open[-1].kind == kind:
            self._pair_last(start)
        else:
            self._unpaired.append((start, 1))

    def _open_tag(self, match: re.Match[str]) -> int:
        name, rest, start = match["tag"].lower(), match["rest"], match.start()
        if not (name or rest) or (name and not (match["whole"] and _is_quoted(rest))):  # but not "a < b"
            self._unpaired.append((start, 1))
        elif not name or rest.endswith("/") or name in _definitions().SINGLE_ONLY:
            pass
        elif _definitions().is_parsable(name):
            self._push(f"<{name}>", start)
        else:
            ends = self._verbatim_ends.get(name, [])
            following = bisect_left(ends, match.end())
            if following < len(ends):
                return ends[following]
            self._unpaired.append((start, 1))
        return start + 1


def _is_quoted(attributes: str) -> bool:
    """Whether all values that begin with a quotation mark end with it."""
    return all(match["quote"] is None for match in _VALUE.finditer(attributes))


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Patterns of markup, and of the ends of tags that hold no markup, such as <nowiki>."""
    verbatim = "|".join(sorted(_definitions().PARSER_BLACKLIST))
    return re.compile(rf"{_MARKUP}|\[(?={_schemes()})"), re.compile(rf"</({verbatim})\s*>", re.IGNORECASE)


@cache
def _link_to_page() -> re.Pattern[str]:
    """ "[[" before an address: a link to a page of the web after a bracket, as the parser finds out at a price."""
    return re.compile(rf"\[\[(?={_schemes()})")


def _schemes() -> str:
    schemes = _definitions().URI_SCHEMES
    alone = "|".join(sorted(scheme for scheme, needs_slashes in schemes.items() if not needs_slashes))
    return rf"//|(?i:(?:{'|'.join(sorted(schemes))})://|(?:{alone}):)"


@cache
def _definitions() -> Any:
    return importlib.import_module("mwparserfromhell.definitions")
