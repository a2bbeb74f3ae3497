"""Names found by titles of pages and texts of links: a gazetteer for any language, without language-specific rules."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from openrealm.corpus.tagger import Tagger
from openrealm.masking.dates import date_spans, number_spans
from openrealm.masking.spans import resolve
from openrealm.masking.stop_words import STOP_WORDS
from openrealm.types import Span

# Scripts written without spaces: every character is a token. Elsewhere a token is a run of word characters.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_TOKEN = re.compile(rf"[{UNSPACED}][\u0e31-\u0e3a\u0e47-\u0e4e]*|[^\W{UNSPACED}]+")
_IN_PARENTHESES = re.compile(r"\s*[(（][^)）]*[)）]")

_Token = tuple[int, int, str]


class Anchors:
    """Names seen as a title or a link anywhere, matched at token bounds, the longest first."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """See `add`."""
        self._by_first: dict[str, set[tuple[str, ...]]] = {}
        self.add(names)

    def add(self, names: Iterable[str]) -> None:
        """Add names, without what is in parentheses.

        Names that begin with a lower-case word ("river"), names of one letter or character, and those made of function
        words only ("The") are ignored.
        """
        for name in names:
            texts = tuple(text for _, _, text in _tokens(_IN_PARENTHESES.sub("", name)))
            if texts and _is_name(texts):
                self._by_first.setdefault(texts[0], set()).add(texts)

    def spans(self, text: str) -> list[Span]:
        """Entities of `text`, sorted, not overlapping."""
        tokens = list(_tokens(text))
        found: list[Span] = []
        i = 0
        while i < len(tokens):
            length = self._longest(text, tokens, i)
            if length:
                found.append(Span(tokens[i][0], tokens[i + length - 1][1], "entity"))
            i += max(1, length)
        return found

    def _longest(self, text: str, tokens: Sequence[_Token], i: int) -> int:
        """Number of tokens of the longest name that begins at token i; 0 if there is none."""
        lengths = [len(name) for name in self._by_first.get(tokens[i][2], ()) if _matches(name, text, tokens, i)]
        return max(lengths, default=0)


class AnchorTagger(Tagger):
    """The tagger "anchors": names from titles and links, dates and numbers by rule; needs no capitalisation rules."""

    name = "anchors"

    def __init__(self) -> None:
        self._anchors = Anchors()

    def learn(self, names: Iterable[str]) -> None:
        """Take titles and link texts as known names."""
        self._anchors.add(names)

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        """Spans of each text."""
        return [resolve([*date_spans(text), *self._anchors.spans(text), *number_spans(text)]) for text in texts]


def _tokens(text: str) -> Iterator[_Token]:
    return ((match.start(), match.end(), match.group()) for match in _TOKEN.finditer(text))


def _is_name(texts: tuple[str, ...]) -> bool:
    first = texts[0]
    if first.upper() != first.lower() and first == first.lower():
        return False
    letters = [text for text in texts if unicodedata.category(text[0])[0] == "L"]
    return sum(map(len, letters)) > 1 and any(text.casefold() not in STOP_WORDS for text in letters)


def _matches(name: tuple[str, ...], text: str, tokens: Sequence[_Token], i: int) -> bool:
    """Whether `name` is at token i, its tokens no more than two characters apart and on one line."""
    if i + len(name) > len(tokens) or any(tokens[i + k][2] != word for k, word in enumerate(name)):
        return False
    gaps = (text[tokens[i + k][1] : tokens[i + k + 1][0]] for k in range(len(name) - 1))
    return all(len(gap) <= 2 and "\n" not in gap for gap in gaps)
