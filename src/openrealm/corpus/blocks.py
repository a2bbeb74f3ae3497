"""Cuts articles into passages: whole sentences, gathered greedily up to a number of tokens that includes the title's.

A heading opens a new passage, so that it stays with its section.
Guu et al. 2020, Sec. 4.3 ("chunked into greedy blocks of 288 word pieces"); Lee et al. 2019 cut at sentence bounds;
blocks of 100 words are those of Karpukhin et al. 2020 (DPR), Sec. 4.1.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from openrealm.corpus.sentences import sentence_bounds
from openrealm.errors import BadConfig
from openrealm.text.chunks import SPACES, Rows
from openrealm.text.numbering import Numbers
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article, Passage

MAX_TITLE_TOKENS = 16
MIN_PASSAGE_TOKENS = 8
# One token can stand for any number of characters (an unknown word); this keeps such a passage readable.
_MAX_CHARACTERS_PER_TOKEN = 40
_ENCODED_AT_ONCE = 1024
_CHARACTERS_AT_ONCE = 50_000
_WORD = re.compile(r"\S+")

Range = tuple[int, int]
PassageKind = Literal["tokens", "words", "paragraphs"]


@dataclass(frozen=True, slots=True)
class PassageRule:
    """How articles are cut.

    max_tokens  tokens of a passage and its title together, for every kind
    kind        "tokens": sentences gathered up to `max_tokens`; "words": up to `max_words` as well; "paragraphs": like
                "tokens", but a passage ends at a newline
    max_words   words separated by white space in a passage without its title; for the kind "words"

    Raises BadConfig when `max_tokens` is less than MIN_PASSAGE_TOKENS or `max_words` less than 1.
    """

    max_tokens: int
    kind: PassageKind = "tokens"
    max_words: int = 100

    def __post_init__(self) -> None:
        if self.max_tokens < MIN_PASSAGE_TOKENS:
            raise BadConfig(f"max_passage_tokens is {self.max_tokens}; it must be at least {MIN_PASSAGE_TOKENS}.")
        if self.max_words < 1:
            raise BadConfig(f"max_passage_words is {self.max_words}; it must be at least 1.")

    def settings(self) -> dict[str, Any]:
        """The rule as plain values, under the names of the configuration."""
        return {"passages": self.kind, "max_passage_tokens": self.max_tokens, "max_passage_words": self.max_words}

    @staticmethod
    def of(settings: Mapping[str, Any]) -> PassageRule:
        """The rule that `settings` returned; other keys are ignored."""
        return PassageRule(settings["max_passage_tokens"], settings["passages"], settings["max_passage_words"])


@dataclass(frozen=True, slots=True)
class Block:
    """A passage with its tokens.

    title_ids  token ids of the title, at most MAX_TITLE_TOKENS
    ids        (P,) token ids of the text
    offsets    (P, 2) half-open character range of each token in the passage's text
    sentences  (S, 2) half-open ranges of tokens that together cover them all
    """

    passage: Passage
    title_ids: Numbers
    ids: Numbers
    offsets: Numbers
    sentences: Numbers


def cut(article: Article, tokenizer: Tokenizer, rule: PassageRule) -> list[Passage]:
    """Passages of an article, in order; each with its title is at most `rule.max_tokens` tokens long.

    Cuts are at sentence bounds; a longer sentence is cut between words, after ";" or "," if possible. Every token of
    the article is in exactly one passage; `text == article.text[start:end]`. Special tokens are not counted.
    """
    return [block.passage for block in cut_blocks(article, tokenizer, rule)]


def cut_blocks(article: Article, tokenizer: Tokenizer, rule: PassageRule) -> Iterator[Block]:
    """Same as `cut`, with the tokens of each passage, one at a time."""
    return next(cut_all([article], tokenizer, rule))


def cut_all(articles: Iterable[Article], tokenizer: Tokenizer, rule: PassageRule) -> Iterator[Iterator[Block]]:
    """`cut_blocks` of every article; articles are tokenised together, which is faster if they are short."""
    for batch in _batches(articles):
        bounds = [sentence_bounds(article.text) for article in batch]
        texts: list[str] = []
        for article, sentences in zip(batch, bounds, strict=True):
            texts += [article.title, *(article.text[start:end] for start, end in sentences)]
        rows = _encoded(texts, tokenizer)
        first = 0
        for article, sentences in zip(batch, bounds, strict=True):
            last = first + 1 + len(sentences)
            yield _blocks(article, _Cutter(article, sentences, rows.part(first, last), tokenizer, rule))
            first = last


def _batches(articles: Iterable[Article]) -> Iterator[list[Article]]:
    batch: list[Article] = []
    num_characters = 0
    for article in articles:
        batch.append(article)
        num_characters += len(article.text)
        if num_characters >= _CHARACTERS_AT_ONCE:
            yield batch
            batch, num_characters = [], 0
    if batch:
        yield batch


def _encoded(texts: Sequence[str], tokenizer: Tokenizer) -> Rows:
    """Tokens of all texts, encoded in batches, so that a very long article needs little extra memory."""
    rows = [tokenizer.encode_rows(texts[i : i + _ENCODED_AT_ONCE]) for i in range(0, len(texts), _ENCODED_AT_ONCE)]
    if len(rows) == 1:
        return rows[0]
    counts = np.concatenate([row.counts() for row in rows])
    return Rows(np.concatenate([r.values for r in rows]), np.concatenate([r.ranges for r in rows]), np.cumsum(counts))


def _blocks(article: Article, cutter: _Cutter) -> Iterator[Block]:
    for start, end, ids, offsets in cutter.passages():
        text = article.text[start:end]
        passage = Passage(passage_id(article.title, text), article.title, text, article.id, start, end)
        yield Block(passage, cutter.title_ids, ids, offsets, cutter.sentences_within(start, end, offsets))


def passage_id(title: str, text: str) -> str:
    """Digest of a passage's content, 32 hex digits."""
    return hashlib.sha256(f"{title}\0{text}".encode("utf-8", "replace")).hexdigest()[:32]


class _Encoded(NamedTuple):
    """Characters [start, end) of a text, and the tokens of that slice encoded alone."""

    start: int
    end: int
    ids: Numbers
    offsets: Numbers


class _Unit(NamedTuple):
    """A sentence or a piece of a long one; words and ends of paragraphs are found only if the rule needs them.

    `is_independent` means that its neighbours cannot change its tokens, `is_heading` that it is part of a heading.
    """

    start: int
    end: int
    num_tokens: int
    num_words: int
    ends_paragraph: bool
    is_independent: bool
    is_heading: bool


class _Cutter:
    """Cuts a text into character ranges that fit when encoded alone."""

    def __init__(
        self, article: Article, sentences: Sequence[Range], rows: Rows, tokenizer: Tokenizer, rule: PassageRule
    ) -> None:
        """`rows` are the tokens of the title and of each sentence of the article."""
        self.text, self.sentences, self.tokenizer = article.text, sentences, tokenizer
        self._line_starts = [line.start for line in article.lines]
        self._is_heading = [line.is_heading for line in article.lines]
        self._has_headings = any(self._is_heading)
        self._starts = np.array([start for start, _ in sentences], dtype=np.int64)
        num_title, *self._counts = rows.counts().tolist()
        self.title_ids = rows.values[: min(num_title, MAX_TITLE_TOKENS, rule.max_tokens // 2)]
        self._ids = rows.values[num_title:]
        # Relative to the whole text, not to the sentence.
        self._offsets = rows.ranges[num_title:] + np.repeat(self._starts, self._counts)[:, None]
        self.max_tokens = rule.max_tokens - len(self.title_ids)
        self.max_characters = self.max_tokens * _MAX_CHARACTERS_PER_TOKEN
        self.max_words = rule.max_words if rule.kind == "words" else None
        self.by_paragraph = rule.kind == "paragraphs"

    def passages(self) -> Iterator[_Encoded]:
        """Every passage in order; ranges without tokens are skipped."""
        first = 0
        for start, end, num_tokens, is_independent in self._packed():
            start, end = self._stripped(start, end)
            if is_independent and end - start <= self.max_characters:
                last = first + num_tokens
                parts: Iterable[_Encoded] = [
                    _Encoded(start, end, self._ids[first:last], self._offsets[first:last] - start)
                ]
            else:
                parts = self._fitted(self._encoded(start, end))
            yield from (part for part in parts if len(part.ids))
            first += num_tokens

    def sentences_within(self, start: int, end: int, offsets: Numbers) -> Numbers:
        """(S, 2) token ranges of the sentences that overlap the passage; together they cover every token."""
        first, last = np.searchsorted(self._starts, (start, end))
        inner = np.searchsorted(offsets[:, 0], self._starts[first:last] - start)
        ranges = np.zeros((len(inner) + 1, 2), np.int64)
        ranges[1:, 0] = ranges[:-1, 1] = inner
        ranges[-1, 1] = len(offsets)
        return ranges[ranges[:, 0] < ranges[:, 1]]

    def _packed(self) -> Iterator[tuple[int, int, int, bool]]:
        """Units gathered greedily: start, end, number of tokens, and whether they are independent of neighbours."""
        start = end = num_tokens = num_words = 0
        is_independent, must_end, after_heading = True, False, True
        for unit in self._units():
            num_tokens, num_words = num_tokens + unit.num_tokens, num_words + unit.num_words
            too_long = num_tokens > self.max_tokens or unit.end - start > self.max_characters
            opens_section = unit.is_heading and not after_heading
            if too_long or must_end or opens_section or (self.max_words is not None and num_words > self.max_words):
                yield start, end, num_tokens - unit.num_tokens, is_independent and unit.is_independent
                start, num_tokens, num_words, is_independent = unit.start, unit.num_tokens, unit.num_words, True
            end, must_end, is_independent = unit.end, unit.ends_paragraph, is_independent and unit.is_independent
            after_heading = unit.is_heading
        yield start, end, num_tokens, is_independent

    def _units(self) -> Iterator[_Unit]:
        """Sentences, and pieces of those that are too long."""
        first = 0
        for (start, end), num_tokens in zip(self.sentences, self._counts, strict=True):
            unit = self._unit(start, end, num_tokens)
            if num_tokens > self.max_tokens or (self.max_words is not None and unit.num_words > self.max_words):
                yield from self._pieces(start, end, self._offsets[first : first + num_tokens].tolist())
            else:
                yield unit
            first += num_tokens

    def _unit(self, start: int, end: int, num_tokens: int, is_whole: bool = True) -> _Unit:
        num_words = len(self.text[start:end].split()) if self.max_words is not None else 0
        is_independent = is_whole and self.tokenizer.cuts_at_spaces and (start == 0 or self.text[start - 1] in SPACES)
        is_heading = self._has_headings and self._is_heading[bisect_right(self._line_starts, start) - 1]
        ends_paragraph = self.by_paragraph and not is_heading and "\n" in self.text[start:end]
        return _Unit(start, end, num_tokens, num_words, ends_paragraph, is_independent, is_heading)

    def _pieces(self, start: int, end: int, offsets: list[list[int]]) -> Iterator[_Unit]:
        """A long sentence in pieces that fit; `offsets` are its tokens' character ranges in the whole text."""
        words = [] if self.max_words is None else [match.start() for match in _WORD.finditer(self.text, start, end)]
        first, is_whole = 0, True  # a character of several tokens may be split, and then belongs to both sides
        while (latest := self._latest_cut(start, offsets, first, words)) < len(offsets):
            following = self._best_cut(offsets, first, latest)
            yield self._unit(start, offsets[following][0], following - first, is_whole)
            is_whole = offsets[following - 1][1] <= offsets[following][0]
            start, first = offsets[following][0], following
        yield self._unit(start, end, len(offsets) - first, is_whole)

    def _latest_cut(self, start: int, offsets: list[list[int]], first: int, words: list[int]) -> int:
        """The last token at which the piece that begins at token `first` and character `start` may be cut."""
        latest = first + self.max_tokens
        if self.max_words is not None:
            following = max(bisect_right(words, start), 1) - 1 + self.max_words
            if following < len(words):
                latest = min(latest, bisect_left(offsets, [words[following]]))
        return max(latest, first + 1)

    def _best_cut(self, offsets: list[list[int]], first: int, latest: int) -> int:
        """The token in (first, latest] to cut before: the last after ";" or ",", else after a space, else `latest`."""
        words = [t for t in range(latest, first, -1) if self.text[offsets[t][0] - 1].isspace()]
        clauses = [t for t in words if self.text[offsets[t - 1][1] - 1] in ";,"]
        early = first + (latest - first) // 2
        return next((t for t in clauses if t > early), words[0] if words else latest)

    def _encoded(self, start: int, end: int) -> _Encoded:
        [(ids, offsets)] = self.tokenizer.encode_rows([self.text[start:end]])
        return _Encoded(start, end, ids, offsets)

    def _stripped(self, start: int, end: int) -> Range:
        piece = self.text[start:end]
        return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())

    def _fitted(self, whole: _Encoded) -> Iterator[_Encoded]:
        """The range itself, or its halves if it is too long when encoded alone: a cut inside a word can add tokens."""
        start, end, ids, offsets = whole
        if end - start <= 1 or (len(ids) <= self.max_tokens and end - start <= self.max_characters):
            yield _Encoded(start, end, ids[: self.max_tokens], offsets[: self.max_tokens])
            return
        middle = (start + end) // 2
        space = self.text.rfind(" ", start + 1, middle)
        middle = space if space > start + (end - start) // 4 else middle
        for half in (self._stripped(start, middle), self._stripped(middle, end)):
            yield from self._fitted(self._encoded(*half))
