"""Splits texts into words with the properties that the rules for names use; those of a word are computed once."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from openrealm.corpus.sentences import sentence_bounds
from openrealm.masking.stop_words import STOP_WORDS
from openrealm.text.chunks import ChunkMemory, starts_of
from openrealm.text.numbering import Numbers, codes_of

# A word begins with a letter; "G-20", "COVID-19", "d'Ivoire" and "U.S." are one word each.
WORD = re.compile(r"(?:[^\W\d_]\.){2,}|[^\W\d_]\w*(?:['’&-]\w+)*")
_PARTS = re.compile(f"({WORD.pattern})")
# "Peru's" and "Soviet-era" name Peru and Soviet.
_ADDED_WORDS = (
    "era led based style born backed controlled speaking made owned held occupied wide type like run ruled built"
)
_ENDING = re.compile(rf"['’]s?$|-(?:{'|'.join(_ADDED_WORDS.split())})$")
_CAPITAL_AFTER_PARTICLE = re.compile(r"(?:[dl]|al|el|an|ad|as|ar|ash|az)['’-][^\W\d_a-z]")
_TITLE_WORDS = "St Mt Dr Mr Mrs Ms Ft Gen Brig Maj Col Capt Lt Sgt Cpl Adm Cmdr Gov Sen Rep Prof Rev"
_TITLES_BEFORE_NAMES = frozenset(_TITLE_WORDS.split())

# Between capitalised words these belong to the name ("Bay of Bengal"); "and" only after another connector
# ("Department of Trade and Industry"), since "Chile and Peru" are two names.
_CONNECTOR_WORDS = "of de la del della di da do dos das du des le les el al ibn bin bint von van der den ter y e"
_CONNECTORS = frozenset(_CONNECTOR_WORDS.split())
_AFTER_CONNECTOR = frozenset(("the", "and", "la", "las", "los", "le", "les"))

# Properties of a word by itself, one bit each.
CAPITAL, CONNECTOR, AND, AFTER_CONNECTOR, BEFORE_STOP, HYPHEN, INITIAL, STOP_WORD = (1 << bit for bit in range(8))
# The gap between a word and the next one of its text; anything else is 0.
SPACE, FULL_STOP = 1, 2
_FAR = 1 << 30


class Vocabulary(dict[str, int]):
    """A number for every distinct word; lists hold the properties of words by number."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.stems: list[str] = []
        self.folded: list[str] = []
        self.is_stem: list[bool] = []
        self._kinds = bytearray()
        self._stem_lengths = array("q")

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        stem = _ENDING.sub("", word)
        self.words.append(word)
        self.stems.append(stem)
        self.folded.append(stem.lower())
        self.is_stem.append(stem == word)
        self._kinds.append(_kind(word, stem))
        self._stem_lengths.append(len(stem))
        return number

    def kinds_of(self, numbers: Numbers) -> npt.NDArray[np.uint8]:
        """Property bits of each word."""
        return np.frombuffer(self._kinds, np.uint8)[numbers]

    def stem_lengths_of(self, numbers: Numbers) -> Numbers:
        """Number of characters of each word's stem."""
        return np.frombuffer(self._stem_lengths, np.int64)[numbers]


def _kind(word: str, stem: str) -> int:
    is_capital = word[0].isupper() or _CAPITAL_AFTER_PARTICLE.match(word) is not None
    is_before_stop = len(word) == 1 or word in _TITLES_BEFORE_NAMES
    return (
        CAPITAL * is_capital
        | CONNECTOR * (word in _CONNECTORS)
        | AND * (word == "and")
        | AFTER_CONNECTOR * (word in _AFTER_CONNECTOR)
        | BEFORE_STOP * is_before_stop
        | HYPHEN * ("-" in word)
        | INITIAL * (len(word) == 1 and word not in "AI")  # "J. K. Rowling"
        | STOP_WORD * (stem.casefold() in STOP_WORDS)
    )


@dataclass(frozen=True, slots=True)
class Words:
    """The words of many texts, concatenated (W in all).

    numbers, kinds    (W,) each word's number in the vocabulary, and its property bits
    starts            (W,) its first character in its own text
    opens             (W,) whether it begins a sentence
    gaps              (W,) the gap between it and the next word of its text: SPACE, FULL_STOP or 0
    gap_lengths       (W,) number of characters of that gap; very large at the end of a text
    ends              (number of texts,) where each text's words end
    """

    numbers: Numbers
    kinds: npt.NDArray[np.uint8]
    starts: Numbers
    opens: npt.NDArray[np.bool_]
    gaps: npt.NDArray[np.uint8]
    gap_lengths: Numbers
    ends: Numbers


class Reader:
    """Splits texts into words, and remembers the words it has seen."""

    def __init__(self) -> None:
        self.vocabulary = Vocabulary()
        self._chunks = ChunkMemory(self._find)

    def _find(self, text: str) -> tuple[Numbers, Numbers]:
        parts = _PARTS.split(text)  # gap, word, gap, word, ..., gap
        bounds = np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)))
        words = parts[1::2]
        numbers = np.fromiter(map(self.vocabulary.__getitem__, words), np.int64, len(words))
        return numbers, bounds[:-1].reshape(-1, 2)

    def read(self, texts: Sequence[str]) -> Words:
        """The words of every text."""
        found = self._chunks.rows(texts)
        whole = " ".join(texts)
        places = found.ranges + np.repeat(starts_of(texts), found.counts())[:, None]
        gap_lengths = np.append(places[1:, 0] - places[:-1, 1], _FAR)
        gap_lengths[found.ends[found.counts() > 0] - 1] = _FAR  # words of the next text are not neighbours
        opens = np.zeros(len(places) + 1, np.bool_)
        # A newline always ends a sentence, so no sentence continues into the next text.
        bounds = sentence_bounds("\n".join(texts))
        opens[np.searchsorted(places[:, 0], [start for start, _ in bounds])] = True
        return Words(
            found.values,
            self.vocabulary.kinds_of(found.values),
            found.ranges[:, 0],
            opens[:-1],
            _gaps(whole, places[:, 1], gap_lengths),
            gap_lengths,
            found.ends,
        )


def _gaps(whole: str, ends: Numbers, gap_lengths: Numbers) -> npt.NDArray[np.uint8]:
    """The gap after each word, which ends at `ends`: SPACE, FULL_STOP or 0."""
    codes = codes_of(f"{whole}  ")
    first, second = codes[ends], codes[ends + 1]
    is_space = (gap_lengths == 1) & (first == ord(" "))
    is_full_stop = (gap_lengths == 2) & (first == ord(".")) & (second == ord(" "))
    return np.where(is_space, SPACE, np.where(is_full_stop, FULL_STOP, 0)).astype(np.uint8)
