"""What joins two lines of a paragraph: a space, or nothing, and whether the hyphen at the line end stays."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from openrealm.corpus.readers import Joint

_WORD = re.compile(r"[^\W_]+(?:[-\u2010\u2011][^\W_]+)*")
_LAST = re.compile(r"([^\W_]+(?:[-\u2010\u2011][^\W_]+)*)([-\u2010\u2011\xad])$")
_FIRST = re.compile(r"[^\W_]+(?:[-\u2010\u2011][^\W_]+)*")
_MAX_WORD = 60
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
# First parts of compounds that are hardly ever the first syllables of a longer word.
_FIRST_PARTS = frozenset([*_TENS, "self", "well", "ill", "half", "all", "quasi", "vice", "north", "south", "so"])
_ENDINGS = frozenset(["ness", "nesses", "ish", "ishly", "ishness", "less", "lessly", "ern", "erly", "ward", "wards"])
# "Nord- und Ostsee", "first- and second-class": the hyphen stands for what follows.
_SUSPENDING = frozenset(["and", "or", "to", "und", "oder", "bis", "sowie", "et", "ou", "y", "o", "e", "nor", "but"])
_UNSPACED_DASHES = ("—", "–", "/")


class Words:
    """How often each word of a document occurs, as written within lines; counted when it is first asked."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = lines
        self._counts: Counter[str] | None = None

    def count(self, word: str) -> int:
        """Occurrences of a word, in any case, other than at the start of a line or before a hyphen at its end."""
        if self._counts is None:
            self._counts = Counter()
            for line in self._lines:
                found = _WORD.findall(line.casefold())
                self._counts.update(found[1:-1] if line.endswith(("-", "\u2010", "\xad")) else found[1:])
        return self._counts[word.casefold()]


def joint_after(line: str, following: str, words: Words) -> tuple[str, Joint]:
    """The line as it stands before `following`, without a hyphen that only divided a word, and what joins them.

    >>> joint_after("a well-", "known man", Words([]))
    ('a well-', '')
    >>> joint_after("some infor-", "mation", Words([]))
    ('some infor', '')
    """
    if last := _LAST.search(line, max(0, len(line) - _MAX_WORD)):
        first = _FIRST.match(following)
        before, hyphen = last.groups()
        after = first.group() if first else ""
        if hyphen != "\xad" and after in _SUSPENDING:
            return line, " "
        return (line[: -len(hyphen)] if after and _is_divided(before, after, hyphen, words) else line), ""
    if is_unspaced(line[-1]) and is_unspaced(following[0]):
        return line, ""
    joins = line.endswith(_UNSPACED_DASHES) and not line[-2:-1].isspace() and following[0].isalnum()
    return line, "" if joins else " "


def is_unspaced(character: str) -> bool:
    """Whether a character's script is written without spaces between words: Chinese, Japanese, Thai, Lao, Khmer."""
    return (
        "\u2e80" <= character <= "\u9fff"
        or "\uf900" <= character <= "\ufaff"
        or "\uff00" <= character <= "\uffef"
        or "\u0e00" <= character <= "\u0eff"
        or "\u1780" <= character <= "\u17ff"
        or "\U00020000" <= character <= "\U0003ffff"
    )


def _is_divided(before: str, after: str, hyphen: str, words: Words) -> bool:
    """Whether a hyphen at a line end only divides a word."""
    if hyphen == "\xad":
        return True
    last = re.split(r"[-\u2010\u2011]", before)[-1]
    if not after[0].islower() or not before[-1].isalpha() or len(last) < 2:
        return False
    joined, compound = words.count(before + after), words.count(f"{before}-{after}")
    if joined or compound:
        return joined >= compound
    if last != before:  # "state-of-the-" goes on with "art"
        return False
    if before.casefold() in _FIRST_PARTS and after not in _ENDINGS:
        return False
    return not (len(after) > 2 and words.count(before) and words.count(after))
