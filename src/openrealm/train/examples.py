"""Masked examples from the corpus: which sentence, which span, and in which order, all pure functions of (seed, step)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from openrealm.config import MaskingConfig
from openrealm.corpus.store import Corpus
from openrealm.masking.random import random_span, uniform_positions

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Example:
    """A masked query x and its answer y. `positions` are places in `query` that hold [MASK], `gold` what belongs there."""

    query: Ids
    positions: tuple[int, ...]
    gold: tuple[int, ...]
    passage: int
    kind: str

    @property
    def original(self) -> Ids:
        """The query with the masks filled in."""
        filled = self.query.copy()
        filled[list(self.positions)] = self.gold
        return filled


class Order:
    """An endless shuffled walk over items: epoch after epoch, each in a fresh order, any step reachable directly."""

    def __init__(self, items: Sequence[int], seed: int) -> None:
        self._items = np.asarray(items, dtype=np.int64)
        self._seed = seed
        self._epoch = -1
        self._shuffled = self._items

    def __len__(self) -> int:
        return len(self._items)

    def take_with_neighbours(self, start: int, count: int, run: int) -> list[int]:
        """Like `take`, but every item brings the `run` - 1 items that follow it in the unshuffled list: hard negatives."""
        place = {int(item): number for number, item in enumerate(self._items)}
        taken: dict[int, None] = {}
        for item in self.take(start // run, -(-count // run)):
            for offset in range(run):
                taken[int(self._items[(place[item] + offset) % len(self._items)])] = None
        return list(taken)[:count]

    def take(self, start: int, count: int) -> list[int]:
        """Items number start ... start + count - 1 of the walk."""
        taken = []
        for number in range(start, start + count):
            epoch, place = divmod(number, len(self._items))
            if epoch != self._epoch:
                self._epoch = epoch
                self._shuffled = np.random.default_rng([self._seed, 7, epoch]).permutation(self._items)
            taken.append(int(self._shuffled[place]))
        return taken


def window(sentences: npt.NDArray[np.int64], start: int, end: int, max_tokens: int) -> tuple[int, int]:
    """Token range of the sentence that holds [start, end), widened by whole neighbours while they fit, else cut around it."""
    first = max(0, int(np.searchsorted(sentences[:, 0], start, side="right")) - 1)
    last = max(first, int(np.searchsorted(sentences[:, 0], end - 1, side="right")) - 1)
    low, high = int(sentences[first, 0]), int(sentences[last, 1])
    if high - low > max_tokens:
        low = max(low, min(start - (max_tokens - (end - start)) // 2, high - max_tokens))
        return low, low + max_tokens
    return low, high


def masked_example(corpus: Corpus, passage: int, config: MaskingConfig, max_tokens: int, rng: np.random.Generator) -> Example | None:
    """One example from a passage, or None where it has nothing to mask.

    Guu et al. 2020, Sec. 3.4: "salient" hides one named entity or date; "uniform" 15 % of the tokens, "span" one random span.
    `max_tokens` bounds the query without its special tokens.
    """
    body = np.asarray(corpus.body_tokens(passage), dtype=np.int64)
    sentences = np.asarray(corpus.sentences(passage), dtype=np.int64)
    if len(body) < 4:
        return None
    kind = config.strategy
    if config.strategy == "salient":
        spans = [s for s in corpus.spans(passage) if s[2] in config.kinds and s[1] - s[0] <= config.max_masked_tokens]
        if not spans:
            return None
        start, end, kind = spans[int(rng.integers(len(spans)))]
    else:
        start = int(rng.integers(len(body)))
        end = start + 1
    title = _title_for(corpus, passage, body[start:end], config)
    low, high = window(sentences, start, end, max_tokens - len(title))
    if high - low < 3:
        return None
    if config.strategy == "uniform":
        inside = uniform_positions(high - low, rng)
    elif config.strategy == "span":
        inside = list(range(*random_span(high - low, rng)))
    else:
        inside = list(range(start - low, end - low))
    inside = inside[: config.max_masked_tokens]
    query = np.concatenate([title, body[low:high]])
    positions = tuple(len(title) + place for place in inside)
    gold = tuple(int(token) for token in query[list(positions)])
    query[list(positions)] = corpus.tokenizer().mask_id
    return Example(query, positions, gold, passage, kind)


def _title_for(corpus: Corpus, passage: int, answer: Ids, config: MaskingConfig) -> Ids:
    """The title to put before the query; none when it would give the answer away (spec Sec. 6.6)."""
    if not config.title_in_query:
        return np.zeros(0, dtype=np.int64)
    title = np.asarray(corpus.title_tokens(passage), dtype=np.int64)
    if contains(title, answer):
        return np.zeros(0, dtype=np.int64)
    separator, _ = corpus.tokenizer().encode(":")
    return np.concatenate([title, np.asarray(separator, dtype=np.int64)]) if len(title) else title


def contains(tokens: Ids, wanted: Sequence[int] | Ids) -> bool:
    """Whether the token sequence `wanted` occurs in `tokens`."""
    wanted = np.asarray(wanted, dtype=np.int64)
    if not 0 < len(wanted) <= len(tokens):
        return False
    return bool((np.lib.stride_tricks.sliding_window_view(tokens, len(wanted)) == wanted).all(axis=1).any())


class MaskedExamples:
    """Training and held-out examples of a corpus. Held-out passages, and their duplicates, are never trained on."""

    def __init__(self, corpus: Corpus, config: MaskingConfig, max_tokens: int, num_heldout: int, seed: int) -> None:
        self.corpus, self.config, self.max_tokens, self.seed = corpus, config, max_tokens, seed
        usable = [i for i in range(corpus.num_passages) if self._make(i, np.random.default_rng([seed, 1, i])) is not None]
        shuffled = np.random.default_rng([seed, 2]).permutation(usable)
        num_heldout = min(num_heldout, len(usable) // 4)
        self.heldout = [self._certain(int(i), 3, int(i)) for i in shuffled[:num_heldout]]
        held_groups = {corpus.group(int(i)) for i in shuffled[:num_heldout]}
        self._order = Order([int(i) for i in shuffled[num_heldout:] if corpus.group(int(i)) not in held_groups], seed)

    def __len__(self) -> int:
        return len(self._order)

    def batch(self, step: int, size: int) -> list[Example]:
        """The examples of a step: a function of seed, step and size alone."""
        start = step * size
        return [self._certain(i, 4, start + n) for n, i in enumerate(self._order.take(start, size))]

    def _make(self, passage: int, rng: np.random.Generator) -> Example | None:
        return masked_example(self.corpus, passage, self.config, self.max_tokens, rng)

    def _certain(self, passage: int, *stream: int) -> Example:
        rng = np.random.default_rng([self.seed, *stream])
        for _ in range(20):
            example = self._make(passage, rng)
            if example is not None:
                return example
        fallback = self._make(passage, np.random.default_rng([self.seed, 1, passage]))
        assert fallback is not None, "a usable passage yields an example with the generator it was found with"
        return fallback


