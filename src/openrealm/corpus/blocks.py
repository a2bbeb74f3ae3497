"""Articles cut into passages: whole sentences, greedily, within a number of tokens that counts the title's.

Guu et al. 2020, Sec. 4.3 ("chunked into greedy blocks of 288 word pieces"); Lee et al. 2019 cut at sentence bounds.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from openrealm.corpus.sentences import sentence_bounds
from openrealm.errors import BadConfig
from openrealm.text.tokenizer import Tokenizer, TokenRow
from openrealm.types import Article, Passage

MAX_TITLE_TOKENS = 16
MIN_PASSAGE_TOKENS = 8
# One token may hide any number of characters (an unknown word); this keeps such a passage readable.
_MAX_CHARACTERS_PER_TOKEN = 40
_ENCODED_AT_ONCE = 128

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Block:
    """A passage with its tokens, their character ranges in its text, and the token ranges of its sentences."""

    passage: Passage
    title_ids: list[int]
    ids: list[int]
    offsets: list[Range]
    sentences: list[Range]


def cut(article: Article, tokenizer: Tokenizer, max_passage_tokens: int) -> list[Passage]:
    """Passages of an article, in order; each with its title is at most `max_passage_tokens` tokens long.

    Cut at sentence bounds; a longer sentence is cut between words, after ";" or "," where it can be. What
    the tokenizer sees of the article is in exactly one passage; `text == article.text[start:end]`. Special tokens
    are not counted.
    Raises BadConfig when `max_passage_tokens` is under MIN_PASSAGE_TOKENS.
    """
    return [block.passage for block in cut_blocks(article, tokenizer, max_passage_tokens)]


def cut_blocks(article: Article, tokenizer: Tokenizer, max_passage_tokens: int) -> Iterator[Block]:
    """`cut`, with the tokens that were counted; one by one, so that an article of any length needs little memory."""
    if max_passage_tokens < MIN_PASSAGE_TOKENS:
        raise BadConfig(f"max_passage_tokens is {max_passage_tokens}; it must be at least {MIN_PASSAGE_TOKENS}.")
    max_title_tokens = min(MAX_TITLE_TOKENS, max_passage_tokens // 2)
    title_ids = tokenizer.encode(article.title)[0][:max_title_tokens]
    cutter = _Cutter(article.text, tokenizer, max_passage_tokens - len(title_ids))
    for start, end, row in cutter.passages():
        yield _block(article, title_ids, start, end, row, cutter.sentences)


def passage_id(title: str, text: str) -> str:
    """Digest of a passage's content: 32 hex digits."""
    return hashlib.sha256(f"{title}\0{text}".encode("utf-8", "replace")).hexdigest()[:32]


class _Cutter:
    """Cuts one text into character ranges whose own encoding fits `max_tokens`."""

    def __init__(self, text: str, tokenizer: Tokenizer, max_tokens: int) -> None:
        self.text, self.tokenizer, self.max_tokens = text, tokenizer, max_tokens
        self.max_characters = max_tokens * _MAX_CHARACTERS_PER_TOKEN
        self.sentences = sentence_bounds(text)

    def passages(self) -> Iterator[tuple[int, int, TokenRow]]:
        """Character range and tokens of every passage; ranges without a token are left out."""
        for start, end, row in self._encoded(self._stripped(*bounds) for bounds in self._packed()):
            yield from (part for part in self._fitted(start, end, row) if part[2][0])

    def _packed(self) -> Iterator[Range]:
        """Units gathered greedily."""
        held_start = held_end = num_held = 0
        for start, end, num_tokens in self._units():
            if num_held + num_tokens > self.max_tokens or end - held_start > self.max_characters:
                yield held_start, held_end
                held_start, num_held = start, 0
            held_end, num_held = end, num_held + num_tokens
        yield held_start, held_end

    def _units(self) -> Iterator[tuple[int, int, int]]:
        """Sentences, and pieces of those too long, each with its number of tokens."""
        for start, end, (ids, offsets) in self._encoded(self.sentences):
            first = 0
            while len(ids) - first > self.max_tokens:
                following = self._best_cut(start, offsets, first, first + self.max_tokens)
                yield start + offsets[first][0] if first else start, start + offsets[following][0], following - first
                first = following
            yield start + offsets[first][0] if first else start, end, len(ids) - first

    def _best_cut(self, start: int, offsets: list[Range], first: int, latest: int) -> int:
        """The last token in (first, latest] to open a piece with: after ";" or ",", else after a space, else any."""
        words = [t for t in range(latest, first, -1) if self.text[start + offsets[t][0] - 1].isspace()]
        clauses = [t for t in words if self.text[start + offsets[t - 1][1] - 1] in ";,"]
        early = first + (latest - first) // 2
        return next((t for t in clauses if t > early), words[0] if words else latest)

    def _encoded(self, ranges: Iterable[Range]) -> Iterator[tuple[int, int, TokenRow]]:
        """Each range with the tokens of its text, encoded batch by batch."""
        remaining = iter(ranges)
        while batch := list(islice(remaining, _ENCODED_AT_ONCE)):
            rows = self.tokenizer.encode_batch([self.text[start:end] for start, end in batch])
            yield from ((start, end, row) for (start, end), row in zip(batch, rows, strict=True))

    def _stripped(self, start: int, end: int) -> Range:
        piece = self.text[start:end]
        return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())

    def _fitted(self, start: int, end: int, row: TokenRow) -> Iterator[tuple[int, int, TokenRow]]:
        """The range itself, or its halves when its own encoding is too long: a cut inside a word can add tokens."""
        if end - start <= 1 or (len(row[0]) <= self.max_tokens and end - start <= self.max_characters):
            yield start, end, (row[0][: self.max_tokens], row[1][: self.max_tokens])
            return
        middle = (start + end) // 2
        space = self.text.rfind(" ", start + 1, middle)
        middle = space if space > start + (end - start) // 4 else middle
        for half in self._encoded([self._stripped(start, middle), self._stripped(middle, end)]):
            yield from self._fitted(*half)


def _block(
    article: Article, title_ids: list[int], start: int, end: int, row: TokenRow, sentences: list[Range]
) -> Block:
    text = article.text[start:end]
    passage = Passage(passage_id(article.title, text), article.title, text, article.id, start, end)
    return Block(passage, title_ids, row[0], row[1], _token_sentences(row[1], start, end, sentences))


def _token_sentences(offsets: list[Range], start: int, end: int, sentences: list[Range]) -> list[Range]:
    """Token ranges of the sentences that meet characters [start, end); together they cover every token."""
    token_starts = [a + start for a, _ in offsets]
    ranges = []
    index = max(bisect_left(sentences, (start + 1, 0)) - 1, 0)
    while index < len(sentences) and sentences[index][0] < end:
        first, last = (bisect_left(token_starts, bound) for bound in sentences[index])
        if first < last:
            ranges.append((first, last))
        index += 1
    return ranges
