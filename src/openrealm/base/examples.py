"""Masked queries for a base encoder, with or without a passage; each is a pure function of seed and number.

They have the format that the reader of REALM sees, so that it can copy before joint training begins. If the passage
contains the masked span, that span is often replaced in both by another one, so that it cannot be recalled but only
copied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from openrealm.base.settings import BaseSettings
from openrealm.base.texts import SpanIndex, Texts
from openrealm.text.pack import Row, Specials, pack_joint
from openrealm.train.examples import Order, contains, window

Ints = npt.NDArray[np.int64]
ALONE, OWN, RELATED, UNRELATED = CONTEXTS = ("alone", "own", "related", "unrelated")
_DRAWN = (OWN, RELATED, UNRELATED, ALONE)  # in the order of the rates in the settings; ALONE is the rest
_TRIED_SPANS = 4
_NOTHING = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class MaskedRow:
    """A joint row with masks: their `positions`, the correct word pieces `gold`, and one of `CONTEXTS`."""

    row: Row
    positions: Ints
    gold: Ints
    context: str


@dataclass(frozen=True, slots=True)
class _Query:
    """Part of a passage's body, the positions `hidden` to mask in it, and its salient span `answer`, possibly empty."""

    passage: int
    tokens: Ints
    hidden: Ints
    answer: Ints


class BaseExamples:
    """Training examples and held-out ones of `texts`."""

    def __init__(self, texts: Texts, index: SpanIndex, settings: BaseSettings) -> None:
        """Raises BadInput if there is nothing to train on."""
        self.texts, self.index, self.settings = texts, index, settings
        tokenizer = texts.tokenizer
        self.specials = Specials.of(tokenizer)
        self._separator = np.asarray(tokenizer.encode(":")[0], dtype=np.int64)
        self._continues_V = np.isin(np.arange(tokenizer.vocab_size), tokenizer.continuations())
        self._bounds = np.cumsum([settings.own_rate, settings.related_rate, settings.unrelated_rate])
        self._is_trained_N = ~texts.is_heldout_N
        self._trained = np.flatnonzero(self._is_trained_N)
        self.order = Order(self._trained.tolist(), settings.seed)

    def example(self, number: int) -> MaskedRow:
        """Training example `number` of an endless sequence over shuffled passages."""
        settings = self.settings
        rng = np.random.default_rng([settings.seed, 22, number])
        passage = self.order.take(number, 1)[0]
        context = _DRAWN[int(np.searchsorted(self._bounds, rng.random(), side="right"))]
        span_only = rng.random() < settings.span_only_rate
        if context == RELATED:
            query, others = self._answerable(passage, rng, self._is_trained_N)
            if not len(others):
                context = OWN
        else:
            query, others = self._query(passage, self._any_span(passage, rng), rng, alone=context == ALONE), _NOTHING
        hidden = query.hidden if span_only and len(query.answer) else self._with_words(query, rng)
        other = self._passage_for(context, query, others, rng)
        return self._laid_out(query, hidden, context, other, rng)

    def heldout(self, number: int) -> dict[str, MaskedRow]:
        """The same held-out query alone, with its own passage, with another that contains its span, and with any other.

        One salient span is masked. Empty if no other passage contains it.

        number  number of the passage
        """
        rng = np.random.default_rng([self.settings.seed, 23, number])
        query, others = self._answerable(number, rng, np.ones_like(self._is_trained_N))
        if not len(others):
            return {}
        rows = {}
        for context in CONTEXTS:
            other = self._passage_for(context, query, others, rng)
            rows[context] = self._packed(query.tokens, query.hidden, context, self._body(other), self._title(other))
        return rows

    def heldout_rows(self, num_queries: int) -> list[dict[str, MaskedRow]]:
        """`heldout` for up to `num_queries` random passages whose span also occurs elsewhere."""
        passages = np.random.default_rng([self.settings.seed, 24]).permutation(np.flatnonzero(self.texts.is_heldout_N))
        rows: list[dict[str, MaskedRow]] = []
        for passage in passages.tolist():
            if len(rows) == num_queries:
                break
            found = self.heldout(passage)
            rows += [found] if found else []
        return rows

    def _any_span(self, passage: int, rng: np.random.Generator) -> tuple[int, int]:
        """A random salient span of the passage, or an empty one at a random position if there is none."""
        spans = self.texts.spans[passage]
        if len(spans):
            start, end = spans[int(rng.integers(len(spans)))].tolist()
            return start, end
        start = int(rng.integers(max(1, len(self.texts.body[passage]))))
        return start, start

    def _query(self, passage: int, span: tuple[int, int], rng: np.random.Generator, *, alone: bool = False) -> _Query:
        """The sentences around a span or, if `alone`, the whole body, of which more can be masked."""
        body, (start, end) = self.texts.body[passage], span
        low, high = 0, len(body)
        if not alone:
            low, high = window(
                self.texts.sentences[passage], start, max(end, start + 1), self.settings.max_query_tokens
            )
        return _Query(passage, body[low:high], np.arange(start - low, end - low), body[start:end])

    def _answerable(
        self, passage: int, rng: np.random.Generator, may_read_N: npt.NDArray[np.bool_]
    ) -> tuple[_Query, Ints]:
        """A query whose span occurs in other passages that may be read, and these passages (none if not found)."""
        query, others = None, _NOTHING
        for _ in range(_TRIED_SPANS):
            query = self._query(passage, self._any_span(passage, rng), rng)
            others = self.index.others(passage, query.answer, rng) if len(query.answer) else _NOTHING
            others = others[may_read_N[others]]
            if len(others) or not len(query.answer):
                break
        assert query is not None, "at least one span is tried"
        return query, others

    def _with_words(self, query: _Query, rng: np.random.Generator) -> Ints:
        """The hidden positions of a query and those of random whole words, about `mask_rate` of all word pieces."""
        starts = np.flatnonzero(~self._continues_V[query.tokens])
        if not len(starts):
            return query.hidden
        ends = np.append(starts[1:], len(query.tokens))
        order = rng.permutation(len(starts))
        num_wanted = max(1, round(self.settings.mask_rate * len(query.tokens)))
        lengths = np.cumsum((ends - starts)[order])
        chosen = order[: int(np.searchsorted(lengths, num_wanted)) + 1]
        words = [np.arange(starts[i], ends[i]) for i in chosen.tolist()]
        return np.unique(np.concatenate([query.hidden, *words]))

    def _passage_for(self, context: str, query: _Query, others: Ints, rng: np.random.Generator) -> int | None:
        if context == OWN:
            return query.passage
        if context == RELATED:
            return self.index.closest(query.tokens, query.answer, others)
        return int(rng.choice(self._trained)) if context == UNRELATED else None

    def _laid_out(
        self, query: _Query, hidden: Ints, context: str, other: int | None, rng: np.random.Generator
    ) -> MaskedRow:
        """The example with its passage and, depending on random draws, a title and a replaced span."""
        settings = self.settings
        body, title, tokens = self._body(other), self._title(other), query.tokens
        if other is not None and rng.random() < settings.long_rate:
            body = self._with_neighbour(other, rng)
        if context in (OWN, RELATED) and len(query.answer) and rng.random() < settings.swap_rate:
            fresh = self.index.drawn(rng)
            tokens, hidden = swapped_query(tokens, hidden, int(query.hidden[0]), len(query.answer), fresh)
            body, title = (swapped(part, query.answer, fresh) for part in (body, title))
        own_title = self._title(query.passage)
        if rng.random() < settings.title_rate and len(own_title) and not contains(own_title, query.answer):
            lead = np.concatenate([own_title, self._separator])
            tokens, hidden = np.concatenate([lead, tokens]), hidden + len(lead)
        return self._packed(tokens, hidden, context, body, title)

    def _packed(self, tokens: Ints, hidden: Ints, context: str, body: Ints, title: Ints) -> MaskedRow:
        most = self.settings.max_joint_tokens - 4
        tokens, hidden = tokens[:most], hidden[hidden < most]
        gold, masked = tokens[hidden], tokens.copy()
        masked[hidden] = self.specials.mask
        row, _ = pack_joint(masked, body, self.specials, self.settings.max_joint_tokens, title)
        return MaskedRow(row, hidden + 1, gold, context)

    def _body(self, passage: int | None) -> Ints:
        return _NOTHING if passage is None else self.texts.body[passage]

    def _title(self, passage: int | None) -> Ints:
        return _NOTHING if passage is None else self.texts.title[passage]

    def _with_neighbour(self, passage: int, rng: np.random.Generator) -> Ints:
        """The passage with the one before or after it in its article, so that rows of all lengths occur."""
        step = 1 if rng.random() < 0.5 else -1
        other = passage + step
        article_N = self.texts.article_N
        if not 0 <= other < len(self.texts) or article_N[other] != article_N[passage]:
            return self.texts.body[passage]
        first, second = sorted((passage, other))
        return np.concatenate([self.texts.body[first], self.texts.body[second]])


def swapped(tokens: Ints, old: Ints, new: Ints) -> Ints:
    """`tokens` with each occurrence of the sequence `old` replaced by `new`, from left to right."""
    if not 0 < len(old) <= len(tokens):
        return tokens
    found = np.flatnonzero((np.lib.stride_tricks.sliding_window_view(tokens, len(old)) == old).all(axis=1))
    parts, place = [], 0
    for start in found.tolist():
        if start >= place:
            parts += [tokens[place:start], new]
            place = start + len(old)
    return np.concatenate([*parts, tokens[place:]])


def swapped_query(tokens: Ints, hidden: Ints, start: int, length: int, new: Ints) -> tuple[Ints, Ints]:
    """A query with its span of `length` word pieces from `start` replaced by `new`, and its hidden positions."""
    rest = hidden[(hidden < start) | (hidden >= start + length)]
    moved = np.where(rest < start, rest, rest + len(new) - length)
    span = np.arange(start, start + len(new))
    return np.concatenate([tokens[:start], new, tokens[start + length :]]), np.sort(np.concatenate([moved, span]))
