"""Named entities by rule: runs of capitalised words, and names known beforehand such as the titles of articles."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from openrealm.corpus.sentences import sentence_bounds
from openrealm.masking.stop_words import STOP_WORDS
from openrealm.types import Span

# A word opens with a letter; "G-20", "COVID-19", "d'Ivoire" and "U.S." are one word each.
_WORD = re.compile(r"(?:[^\W\d_]\.){2,}|[^\W\d_]\w*(?:['’&-]\w+)*")
# "Peru's" and "Soviet-era" name Peru and Soviet.
_ADDED_WORDS = (
    "era led based style born backed controlled speaking made owned held occupied wide type like run ruled built"
)
_ENDING = re.compile(rf"['’]s?$|-(?:{'|'.join(_ADDED_WORDS.split())})$")
_CAPITAL_AFTER_PARTICLE = re.compile(r"(?:[dl]|al|el|an|ad|as|ar|ash|az)['’-][^\W\d_a-z]")
_TITLE_WORDS = "St Mt Dr Mr Mrs Ms Ft Gen Col Sgt Lt Capt Gov Sen Rep Prof Rev"
_TITLES_BEFORE_NAMES = frozenset(_TITLE_WORDS.split())

# Between capitalised words these belong to the name ("Bay of Bengal"); "and" only after another one
# ("Department of Trade and Industry"), since "Chile and Peru" are two names.
_CONNECTOR_WORDS = "of de la del della di da do dos das du des le les el al ibn bin bint von van der den ter y e"
_CONNECTORS = frozenset(_CONNECTOR_WORDS.split())
_AFTER_CONNECTOR = frozenset(("the", "and", "la", "las", "los", "le", "les"))


@dataclass(frozen=True, slots=True)
class _Word:
    start: int
    end: int
    text: str
    stem: str
    is_capital: bool
    opens_sentence: bool


class Gazetteer:
    """A set of names, found as whole words in their own spelling, the longest first."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Names of one letter, without a capital, or made of common words alone are not taken."""
        self._by_first: dict[str, set[tuple[str, ...]]] = {}
        self.add(names)

    def add(self, names: Iterable[str]) -> None:
        """Take more names. What stands in parentheses is left out: "Congo (Brazzaville)" is met as "Congo"."""
        for name in names:
            words = tuple(_WORD.findall(re.sub(r"\(.*?\)", " ", name)))
            if words and words[0][0].isupper() and any(w.casefold() not in STOP_WORDS and len(w) > 1 for w in words):
                self._by_first.setdefault(words[0], set()).add(words)

    def longest(self, words: Sequence[_Word], i: int) -> int:
        """Number of words of the longest name that opens at word i; 0 when there is none."""
        names = self._by_first.get(words[i].stem, ())
        return max((len(name) for name in names if _matches(name, words, i)), default=0)


def _matches(name: tuple[str, ...], words: Sequence[_Word], i: int) -> bool:
    if i + len(name) > len(words):
        return False
    return all(words[i + k].stem == word for k, word in enumerate(name)) and all(
        words[i + k + 1].start - words[i + k].end <= 2 for k in range(len(name) - 1)
    )


def entity_spans(texts: Sequence[str], gazetteer: Gazetteer) -> list[list[Span]]:
    """Entities of each text, sorted, not overlapping.

    A single capitalised word that opens a sentence counts only if the texts of this call show it capitalised, alone
    and inside sentences, more often than in lower case, or the gazetteer knows it.
    """
    words_of = [list(_words(text)) for text in texts]
    inside: Counter[str] = Counter()
    lower: Counter[str] = Counter()
    for words in words_of:
        for i, word in enumerate(words):
            if not word.is_capital:
                lower[word.text] += 1
            elif not word.opens_sentence and _stands_alone(words, i):
                inside[word.stem] += 1
    is_name = {text for text, count in inside.items() if count > lower[text.lower()]}
    return [_spans(text, words, is_name, lower, gazetteer) for text, words in zip(texts, words_of, strict=True)]


def _words(text: str) -> Iterator[_Word]:
    """Words of a text; `opens_sentence` marks the first one of each sentence."""
    bounds = iter(sentence_bounds(text))
    sentence_end, opens = 0, False
    for match in _WORD.finditer(text):
        while match.start() >= sentence_end:
            sentence_end, opens = next(bounds)[1], True
        word = match.group()
        is_capital = word[0].isupper() or _CAPITAL_AFTER_PARTICLE.match(word) is not None
        yield _Word(match.start(), match.end(), word, _stem(word), is_capital, opens)
        opens = False


def _stands_alone(words: list[_Word], i: int) -> bool:
    """Whether no capitalised word is next to word i: "National Park" says nothing about "National"."""
    after = words[i + 1] if i + 1 < len(words) else None
    return not (
        (i and words[i - 1].is_capital and words[i].start - words[i - 1].end == 1)
        or (after and after.is_capital and after.start - words[i].end == 1)
    )


def _spans(text: str, words: list[_Word], is_name: set[str], lower: Counter[str], gazetteer: Gazetteer) -> list[Span]:
    spans = []
    i = 0
    while i < len(words):
        num_words = _run_length(text, words, i, lower)
        if num_words and not _opens_name(words[i], num_words, is_name, lower):
            num_words = 0
        num_words = max(num_words, gazetteer.longest(words, i))
        if num_words:
            last = words[i + num_words - 1]
            spans.append(Span(words[i].start, last.start + len(last.stem), "entity"))
        i += max(num_words, 1)
    return spans


def _run_length(text: str, words: list[_Word], i: int, lower: Counter[str]) -> int:
    """Number of words, from word i on, of a run of capitalised words with the connectors inside it."""
    if not words[i].is_capital:
        return 0
    end = i + 1
    has_connector = False
    while end < len(words):
        step = _step(words, end, has_connector)
        if not step or not all(_is_joined(text, words[k - 1], words[k], lower) for k in range(end, end + step)):
            break
        has_connector = has_connector or step > 1
        end += step
    return end - i


def _step(words: list[_Word], end: int, has_connector: bool) -> int:
    """How many words the run grows by at `end`: a capitalised word, or connectors and the capitalised word after."""
    if words[end].is_capital:
        return 1
    if words[end].text not in _CONNECTORS and not (has_connector and words[end].text == "and"):
        return 0
    num_connectors = 2 if end + 1 < len(words) and words[end + 1].text in _AFTER_CONNECTOR else 1
    following = end + num_connectors
    return num_connectors + 1 if following < len(words) and words[following].is_capital else 0


def _is_joined(text: str, before: _Word, after: _Word, lower: Counter[str]) -> bool:
    gap = text[before.end : after.start]
    if gap == ". ":
        is_short = len(before.text) == 1 or before.text in _TITLES_BEFORE_NAMES
        return is_short and not after.opens_sentence
    if before.stem != before.text:  # "People's Party" is one name, "Peru's Congress" and "UK-led Force" are two
        return gap == " " and "-" not in before.text and lower[before.stem.lower()] > 0
    return gap == " "


def _opens_name(word: _Word, num_words: int, is_name: set[str], lower: Counter[str]) -> bool:
    is_initial = len(word.text) == 1 and word.text not in "AI" and num_words > 1  # "J. K. Rowling"
    if word.stem.casefold() in STOP_WORDS and not is_initial:
        return False
    if word.opens_sentence:
        return word.stem in is_name or (num_words > 1 and not lower[word.stem.lower()])
    return True


def _stem(word: str) -> str:
    """The word without a possessive or an added common word."""
    return _ENDING.sub("", word)
