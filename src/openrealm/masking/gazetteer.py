"""Named entities by rule: runs of capitalised words, and known names such as the titles of articles."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from openrealm.masking.stop_words import STOP_WORDS
from openrealm.masking.words import (
    AFTER_CONNECTOR,
    AND,
    BEFORE_STOP,
    CAPITAL,
    CONNECTOR,
    FULL_STOP,
    HYPHEN,
    INITIAL,
    SPACE,
    STOP_WORD,
    WORD,
    Reader,
    Vocabulary,
    Words,
)
from openrealm.text.numbering import Numbers
from openrealm.types import Span

_IN_PARENTHESES = re.compile(r"\(.*?\)")
_MAX_GAP = 2
# Number of words remembered with their properties, about 160 MB; beyond it, all are forgotten at once.
_MAX_WORDS = 1 << 19


class Gazetteer:
    """A set of names, matched as whole words with the same spelling, the longest first.

    names     the words of each name, joined by single spaces
    prefixes  the beginnings of longer names, joined likewise
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        """See `add`."""
        self.names: set[str] = set()
        self.prefixes: set[str] = set()
        self._reader = Reader()
        self.add(names)

    def add(self, names: Iterable[str]) -> None:
        """Add names without their parentheses: "Congo (Brazzaville)" is found as "Congo".

        Names of one letter, without a capital, or made of common words only are ignored.
        """
        for name in names:
            words = WORD.findall(_IN_PARENTHESES.sub(" ", name))
            if words and words[0][0].isupper() and any(w.casefold() not in STOP_WORDS and len(w) > 1 for w in words):
                self.names.add(" ".join(words))
                self.prefixes.update(" ".join(words[:n]) for n in range(1, len(words)))

    def reader(self) -> Reader:
        """The reader of texts for this gazetteer, which remembers words from call to call."""
        if len(self._reader.vocabulary) > _MAX_WORDS:
            self._reader = Reader()
        return self._reader


def entity_spans(texts: Sequence[str], gazetteer: Gazetteer) -> list[list[Span]]:
    """The rule "entities": entities of each text, sorted, not overlapping.

    A single capitalised word at the start of a sentence counts only if the gazetteer knows it, or if the texts of this
    call have it capitalised, alone and inside sentences, more often than in lower case.
    """
    if not texts:
        return []
    reader = gazetteer.reader()
    words = reader.read(texts)
    first_E, last_E = _Finder(words, reader.vocabulary, gazetteer).entities()
    starts = words.starts[first_E].tolist()
    ends = (words.starts[last_E] + reader.vocabulary.stem_lengths_of(words.numbers[last_E])).tolist()
    spans = [Span(start, end, "entity") for start, end in zip(starts, ends, strict=True)]
    bounds = [0, *np.searchsorted(first_E, words.ends).tolist()]
    return [spans[low:high] for low, high in pairwise(bounds)]


class _Finder:
    """Finds the entities among the words of one call."""

    def __init__(self, words: Words, vocabulary: Vocabulary, gazetteer: Gazetteer) -> None:
        self._words = words
        self._stems, self._folded, self._is_stem = vocabulary.stems, vocabulary.folded, vocabulary.is_stem
        self._names, self._prefixes = gazetteer.names, gazetteer.prefixes
        # Plain lists and bytes, since the rules for names of several words read them one at a time.
        self._numbers = words.numbers.tolist()
        self._kinds, self._gaps = words.kinds.tobytes() + bytes(3), words.gaps.tobytes()
        self._opens, self._gap_lengths = words.opens.tobytes(), words.gap_lengths.tolist()
        self._lower = _lower_counts(words, vocabulary)
        self._is_name = _names_inside(words, vocabulary, self._lower)

    def entities(self) -> tuple[Numbers, Numbers]:
        """First and last word of every entity, in order.

        Capitalised words that cannot begin a longer name are judged alone, all at once.
        """
        words = self._words
        capitals = np.flatnonzero(words.kinds & CAPITAL)
        kinds = words.kinds[capitals]
        following = np.append(words.kinds, 0)[capitals + 1]
        distinct, which = np.unique(words.numbers[capitals], return_inverse=True)
        stems = [self._stems[number] for number in distinct.tolist()]
        is_prefix, is_known, is_name = (
            np.fromiter(map(of.__contains__, stems), np.bool_, len(stems))[which]
            for of in (self._prefixes, self._names, self._is_name)
        )
        is_single = ((words.gaps[capitals] == 0) | (following & (CAPITAL | CONNECTOR) == 0)) & ~is_prefix
        is_entity = is_known | (kinds & STOP_WORD == 0) & (is_name | ~words.opens[capitals])
        runs = self._runs(capitals[~is_single].tolist())
        covered = np.zeros(len(words.kinds) + 1, np.int8)
        for first, last in runs:
            covered[first] += 1
            covered[last + 1] -= 1
        singles = capitals[is_single & is_entity]
        singles = singles[np.cumsum(covered)[singles] == 0]
        ranges = np.concatenate([np.array(runs, np.int64).reshape(-1, 2), np.stack([singles, singles], axis=1)])
        ranges = ranges[np.argsort(ranges[:, 0])]
        return ranges[:, 0], ranges[:, 1]

    def _runs(self, capitals: Iterable[int]) -> list[tuple[int, int]]:
        """First and last word of the entities that begin at the given words, without overlaps."""
        runs, free = [], 0
        for i in capitals:
            if i < free:
                continue
            num_words = 1
            if self._gaps[i] and self._kinds[i + 1] & (CAPITAL | CONNECTOR):
                num_words = self._run_length(i)
            if (self._opens[i] or self._kinds[i] & STOP_WORD) and not self._begins_name(i, num_words):
                num_words = 0
            stem = self._stems[self._numbers[i]]
            if stem in self._prefixes or (not num_words and stem in self._names):
                num_words = max(num_words, self._known_length(i))
            if num_words:
                free = i + num_words
                runs.append((i, free - 1))
        return runs

    def _run_length(self, i: int) -> int:
        """Number of words of the run of capitalised words, with connectors inside, that begins at word i."""
        end = i + 1
        has_connector = False
        while self._gaps[end - 1] and (step := self._step(end, has_connector)):
            if not self._is_joined(end - 1) or (step > 1 and not self._are_joined(end, end + step - 1)):
                break
            has_connector = has_connector or step > 1
            end += step
        return end - i

    def _step(self, end: int, has_connector: bool) -> int:
        """Number of words that the run grows by at `end`: a capitalised one, or connectors and a capitalised one."""
        if self._kinds[end] & CAPITAL:
            return 1
        if not self._kinds[end] & CONNECTOR and not (has_connector and self._kinds[end] & AND):
            return 0
        num_connectors = 2 if self._kinds[end + 1] & AFTER_CONNECTOR else 1
        return num_connectors + 1 if self._kinds[end + num_connectors] & CAPITAL else 0

    def _is_joined(self, i: int) -> bool:
        """Whether word i and the next one may belong to one name."""
        gap, number = self._gaps[i], self._numbers[i]
        if gap == SPACE and self._is_stem[number]:
            return True
        if gap == FULL_STOP:
            return bool(self._kinds[i] & BEFORE_STOP) and not self._opens[i + 1]
        if gap != SPACE:
            return False
        # "People's Party" is one name, "Peru's Congress" and "UK-led Force" are two.
        return not self._kinds[i] & HYPHEN and self._folded[number] in self._lower

    def _are_joined(self, first: int, last: int) -> bool:
        """Whether every word from `first` on is joined to the next, up to `last`."""
        return all(self._is_joined(i) for i in range(first, last))

    def _begins_name(self, i: int, num_words: int) -> bool:
        stem = self._stems[self._numbers[i]]
        if self._kinds[i] & STOP_WORD and not (num_words > 1 and self._kinds[i] & INITIAL):
            return False
        if self._opens[i]:
            return stem in self._is_name or (num_words > 1 and self._folded[self._numbers[i]] not in self._lower)
        return True

    def _known_length(self, i: int) -> int:
        """Number of words of the longest known name that begins at word i."""
        longest, num_words, name = 0, 1, self._stems[self._numbers[i]]
        while True:
            if name in self._names:
                longest = num_words
            if name not in self._prefixes or self._gap_lengths[i] > _MAX_GAP or self._opens[i + 1]:
                return longest
            i, num_words = i + 1, num_words + 1
            name = f"{name} {self._stems[self._numbers[i]]}"


def _lower_counts(words: Words, vocabulary: Vocabulary) -> dict[str, int]:
    """How often each word occurs without a capital."""
    counts = np.bincount(words.numbers[words.kinds & CAPITAL == 0])
    return {vocabulary.words[i]: int(counts[i]) for i in np.flatnonzero(counts).tolist()}


def _names_inside(words: Words, vocabulary: Vocabulary, lower: dict[str, int]) -> set[str]:
    """Stems that occur capitalised, alone and inside sentences, more often than in lower case."""
    is_capital = words.kinds & CAPITAL > 0
    touches_next = is_capital[:-1] & is_capital[1:] & (words.gap_lengths[:-1] == 1)
    is_alone = is_capital & ~words.opens
    is_alone[:-1] &= ~touches_next
    is_alone[1:] &= ~touches_next  # "National Park" is no evidence for "National"
    inside: Counter[str] = Counter()
    counts = np.bincount(words.numbers[is_alone])
    for i in np.flatnonzero(counts).tolist():
        inside[vocabulary.stems[i]] += int(counts[i])
    return {stem for stem, count in inside.items() if count > lower.get(stem.lower(), 0)}
