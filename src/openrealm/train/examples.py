"""Masked examples from a corpus: sentence, span and order are pure functions of (seed, step, rank)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
import numpy.typing as npt

from openrealm.config import Config, MaskingConfig
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.layout import MIN_SENTENCE_TOKENS
from openrealm.corpus.names import Chosen
from openrealm.errors import BadInput, TooLittleText
from openrealm.masking.random import random_span, uniform_positions
from openrealm.masking.salient import salient_spans
from openrealm.progress import counted

Ids = npt.NDArray[np.int64]
_MIN_USABLE = 4
_MIN_BODY_TOKENS = 4


@dataclass(frozen=True, slots=True)
class Example:
    """A masked query x and its answer y.

    query      token ids without [CLS] and [SEP]
    positions  where `query` has [MASK]
    gold       the token ids that belong there
    passage    number of its passage in X, the corpus of the queries
    kind       kind of the masked span ("entity", "date", "number"), or the masking strategy
    blocked    groups of Z, the corpus of the candidates, that would reveal the answer (Guu et al. 2020, Sec. 3.4)
    """

    query: Ids
    positions: tuple[int, ...]
    gold: tuple[int, ...]
    passage: int
    kind: str
    blocked: tuple[int, ...] = ()

    @property
    def original(self) -> Ids:
        """The query before masking."""
        filled = self.query.copy()
        filled[list(self.positions)] = self.gold
        return filled


class Order:
    """An endless shuffled sequence of items: a new permutation in each epoch, with random access to any step."""

    def __init__(self, items: Sequence[int] | npt.NDArray[np.integer], seed: int) -> None:
        """`items` are from 0 to 2^32 - 1. Raises BadInput if there are none."""
        if not len(items):
            raise BadInput(
                "There is nothing to train on: no passage or question is usable; provide more text or questions."
            )
        self._items = np.asarray(items, dtype=np.uint32)
        self._seed = seed
        self._epoch = -1
        self._places = np.zeros(0, np.uint32)

    def __len__(self) -> int:
        return len(self._items)

    def take_with_neighbours(self, start: int, count: int, run: int) -> list[int]:
        """Like `take`, but in runs of `run` items that are neighbours in the unshuffled list, as hard negatives.

        An item is never repeated, so that there may be fewer than `count`.
        """
        firsts = [self._place(number) for number in range(start // run, start // run - (-count // run))]
        places = dict.fromkeys((first + offset) % len(self._items) for first in firsts for offset in range(run))
        return list(map(int, self._items[list(places)[:count]]))

    def take(self, start: int, count: int) -> list[int]:
        """Items start, ..., start + count - 1 of the sequence."""
        return [int(self._items[self._place(number)]) for number in range(start, start + count)]

    def _place(self, number: int) -> int:
        """Where the item with this number in the sequence is in the unshuffled list."""
        epoch, place = divmod(number, len(self._items))
        if epoch != self._epoch:
            self._epoch = epoch
            rng = np.random.default_rng([self._seed, 7, epoch])
            self._places = rng.permutation(np.arange(len(self._items), dtype=np.uint32))
        return int(self._places[place])


def window(sentences: npt.NDArray[np.int64], start: int, end: int, max_tokens: int) -> tuple[int, int]:
    """Token range of the sentences that contain [start, end), cut around it if they exceed `max_tokens`."""
    first = max(0, int(np.searchsorted(sentences[:, 0], start, side="right")) - 1)
    last = max(first, int(np.searchsorted(sentences[:, 0], end - 1, side="right")) - 1)
    low, high = int(sentences[first, 0]), int(sentences[last, 1])
    if high - low > max_tokens:
        low = max(low, min(start - (max_tokens - (end - start)) // 2, high - max_tokens))
        return low, low + max_tokens
    return low, high


def masked_example(
    corpus: Corpus,
    passage: int,
    config: MaskingConfig,
    max_tokens: int,
    rng: np.random.Generator,
    maskable: Chosen | None = None,
) -> Example | None:
    """One example from a passage, or None if it contains nothing to mask.

    Guu et al. 2020, Sec. 3.4: "salient" masks one named entity or date, "uniform" 15% of the tokens, "span" one random
    span.

    max_tokens  longest query, without [CLS] and [SEP]
    maskable    the names of `corpus` that may be masked (see `maskable_names`); None allows every salient span
    """
    body = np.asarray(corpus.body_tokens(passage), dtype=np.int64)
    sentences = np.asarray(corpus.sentences(passage), dtype=np.int64)
    if len(body) < _MIN_BODY_TOKENS:
        return None
    kind: str = config.strategy
    if config.strategy == "salient":
        if maskable is None:
            longest = min(config.max_masked_tokens, max_tokens - 2)
            spans = salient_spans(corpus, passage, kinds=config.kinds, max_tokens=longest)
        else:
            is_maskable = corpus.names.is_chosen(passage, maskable).tolist()
            spans = list(compress(corpus.spans(passage), is_maskable))
        if not spans:
            return None
        start, end, kind = spans[int(rng.integers(len(spans)))]
    else:
        start = int(rng.integers(len(body)))
        end = start + 1
    title = _title_for(corpus, passage, body[start:end], config, max_tokens)
    low, high = window(sentences, start, end, max_tokens - len(title))
    if high - low < MIN_SENTENCE_TOKENS:
        return None
    if config.strategy == "uniform":
        inside = uniform_positions(high - low, rng)
    elif config.strategy == "span":
        inside = list(range(*random_span(high - low, rng)))
    else:
        inside = list(range(start - low, end - low))
    inside = inside[: config.max_masked_tokens]
    if config.strategy != "salient" and np.isin(body[low:high][inside], title).any():
        title = title[:0]
    query = np.concatenate([title, body[low:high]])
    positions = tuple(len(title) + place for place in inside)
    gold = tuple(int(token) for token in query[list(positions)])
    query[list(positions)] = corpus.tokenizer().mask_id
    return Example(query, positions, gold, passage, kind, (corpus.group(passage),))


def maskable_names(corpus: Corpus, config: MaskingConfig, max_tokens: int, queries: Corpus | None = None) -> Chosen:
    """The names that may be masked: those of the kinds of `config`, short enough, and in enough passages of `corpus`.

    Near-duplicates count once. A name that occurs in one passage only cannot be looked up, since that passage is
    excluded as trivial, which `config.min_passages` is for.

    max_tokens  longest query, without [CLS] and [SEP]
    queries     the corpus whose names are chosen; None means `corpus`
    """
    longest = min(config.max_masked_tokens, max_tokens - 2)
    if queries is None or config.min_passages <= 1:
        names = (queries or corpus).names
        return names.choose(kinds=config.kinds, max_tokens=longest, min_passages=config.min_passages)
    chosen = corpus.names.choose(kinds=config.kinds, max_tokens=longest, min_passages=config.min_passages)
    return queries.names.same_in(corpus.names, chosen)


def usable_passages(corpus: Corpus, max_tokens: int, maskable: Chosen | None) -> npt.NDArray[np.uint32]:
    """The passages that contain something to mask, ascending: a name of `maskable`, or for None a long enough sentence.

    max_tokens  longest query, without [CLS] and [SEP]
    """
    if maskable is not None:
        found = corpus.names.passages_with(maskable)
        return found[corpus.lengths("body")[found] >= _MIN_BODY_TOKENS].astype(np.uint32)
    if max_tokens < MIN_SENTENCE_TOKENS:
        return np.zeros(0, np.uint32)
    is_usable = corpus.has_sentence(MIN_SENTENCE_TOKENS) & (corpus.lengths("body") >= _MIN_BODY_TOKENS)
    return np.flatnonzero(is_usable).astype(np.uint32)


def _title_for(corpus: Corpus, passage: int, answer: Ids, config: MaskingConfig, max_tokens: int) -> Ids:
    """The title to prepend to the query; empty if it would reveal the answer or leave no room for it."""
    if not config.title_in_query:
        return np.zeros(0, dtype=np.int64)
    title = np.asarray(corpus.title_tokens(passage), dtype=np.int64)
    separator, _ = corpus.tokenizer().encode(":")
    room = max_tokens - len(title) - len(separator)
    if contains(title, answer) or room < len(answer) + 2:
        return np.zeros(0, dtype=np.int64)
    return np.concatenate([title, np.asarray(separator, dtype=np.int64)]) if len(title) else title


def contains(tokens: Ids, wanted: Sequence[int] | Ids) -> bool:
    """Whether `tokens` contains the token sequence `wanted`; False if that is empty."""
    wanted = np.asarray(wanted, dtype=np.int64)
    if not 0 < len(wanted) <= len(tokens):
        return False
    return bool((np.lib.stride_tricks.sliding_window_view(tokens, len(wanted)) == wanted).all(axis=1).any())


@dataclass(frozen=True, slots=True)
class Queries:
    """Another corpus X to take queries from, such as CC-News (Guu et al. 2020, Sec. 4.3).

    blocked  the groups of Z that contain copies of a passage of X, such as `corpus.matches.Matches.groups`
    """

    corpus: Corpus
    blocked: Callable[[int], tuple[int, ...]]


def _held_out(groups: Sequence[int] | npt.NDArray[np.integer], num_heldout: int) -> list[int]:
    """Positions of the first `num_heldout` items whose groups make up at most a quarter of all; at least one.

    Empty if all belong to one group.
    """
    members = np.bincount(groups)
    held, places = set[int](), list[int]()
    num_left = len(groups) // _MIN_USABLE
    for place in range(len(groups)):
        if len(places) == num_heldout:
            break
        group = int(groups[place])
        cost = 0 if group in held else int(members[group])
        if cost <= num_left or (not places and cost < len(groups)):
            held.add(group)
            places.append(place)
            num_left -= cost
    return places


class MaskedExamples:
    """Training and held-out examples from X with candidates from Z; held-out groups are never trained on."""

    def __init__(
        self,
        corpus: Corpus,
        config: MaskingConfig,
        max_tokens: int,
        num_heldout: int,
        seed: int,
        queries: Queries | None = None,
    ) -> None:
        """Find the passages that contain something to mask, and hold some of them out.

        corpus       Z; also X, if `queries` is None
        max_tokens   longest query, without [CLS] and [SEP]
        num_heldout  number of held-out examples; at most a quarter of all passages is held out
        queries      X, if it is another corpus
        Raises TooLittleText if too few passages contain something to mask.
        """
        self.corpus = corpus if queries is None else queries.corpus
        self.config, self.max_tokens, self.seed = config, max_tokens, seed
        self._blocked = None if queries is None else queries.blocked
        is_salient = config.strategy == "salient"
        other = None if queries is None else queries.corpus
        self._maskable = maskable_names(corpus, config, max_tokens, other) if is_salient else None
        usable = usable_passages(self.corpus, max_tokens, self._maskable)
        if len(usable) < _MIN_USABLE:
            raise TooLittleText(
                f"{self.corpus.folder} has {counted({'passage': len(usable)})} with something to mask "
                f"(masking.strategy={config.strategy}, kinds {', '.join(config.kinds)}); "
                f"at least {_MIN_USABLE} are needed."
            )
        shuffled = np.random.default_rng([seed, 2]).permutation(usable)
        groups = self.corpus.groups[shuffled]
        held = _held_out(groups, num_heldout)
        if num_heldout and not held:
            raise TooLittleText(
                f"All passages of {self.corpus.folder} with something to mask are near-duplicates of each other, so "
                "that none can be held out or retrieved for another; provide more varied text."
            )
        self.heldout = [self._example(int(shuffled[place]), 3, int(shuffled[place])) for place in held]
        self._order = Order(shuffled[~np.isin(groups, groups[held])], seed)

    def __len__(self) -> int:
        return len(self._order)

    def batch(self, step: int, size: int, rank: int = 0, num_ranks: int = 1) -> list[Example]:
        """The examples of a step for one of `num_ranks` processes, a function of seed and arguments.

        These are every num_ranks-th of the step's `size` examples, starting with `rank`, so that together the processes
        get the same examples as a single one would. Raises BadInput for a rank that does not exist.
        """
        if not 0 <= rank < num_ranks:
            raise BadInput(f"Rank {rank} is not one of {num_ranks} processes; expected 0 to {num_ranks - 1}.")
        return self.some(step, size, range(rank, size, num_ranks))

    def some(self, step: int, size: int, places: Iterable[int]) -> list[Example]:
        """The examples at `places` (from 0) of the `size` examples of a step."""
        start = step * size
        taken = self._order.take(start, size)
        return [self._example(taken[place], 4, start + place) for place in places]

    def _example(self, passage: int, *stream: int) -> Example:
        """An example from a usable passage; masking is retried, since some draws find nothing to mask."""
        rng = np.random.default_rng([self.seed, *stream])
        while True:
            example = masked_example(self.corpus, passage, self.config, self.max_tokens, rng, self._maskable)
            if example is not None:
                return example if self._blocked is None else replace(example, blocked=self._blocked(passage))


def pretraining_examples(config: Config, corpus: Corpus, queries: Queries | None = None) -> MaskedExamples:
    """The examples of pre-training on `corpus` with the settings of `config`; raises as `MaskedExamples` does."""
    settings = config.pretrain
    max_tokens = settings.max_query_tokens - 2
    return MaskedExamples(corpus, config.masking, max_tokens, settings.num_heldout_queries, config.seed, queries)
