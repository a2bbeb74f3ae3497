"""Recurring spans: retrieve another passage with a name of the sentence (Ram et al. 2022, Sec. 3)."""

from __future__ import annotations

import numpy as np

from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.recurring import RecurringSpans
from openrealm.errors import BadInput
from openrealm.masking.salient import sentence_around
from openrealm.train.examples import Order
from openrealm.train.pairs import Pairs

_KINDS = ("entity",)
_MAX_PASSAGES = 100  # a name in more passages, such as that of a country, says little about which of them is meant
_STREAM = 8  # keeps these random numbers independent of others with the same seed


def recurring_pairs(
    corpus: Corpus,
    spans: RecurringSpans,
    passages: list[int],
    rng: np.random.Generator,
    *,
    max_query_tokens: int,
    remove_rate: float,
) -> Pairs:
    """For each passage, the sentence around one of its recurring spans, and another passage that contains the span.

    Ram et al. take both from one article; here the other passage comes from any article, since a corpus may have only
    one passage of each.

    passages     some of `spans.passages`
    remove_rate  probability that the span itself is removed from the sentence
    """
    pairs = Pairs([], [])
    for passage in passages:
        bounds, names = spans.occurrences(passage)
        chosen = int(rng.integers(len(names)))
        start, end = bounds[chosen].tolist()
        low, high = sentence_around(corpus, passage, start, end)
        others = spans.elsewhere(int(names[chosen]), passage)
        body = corpus.body(passage)
        remove = rng.random() < remove_rate and end - start < high - low
        query = np.concatenate([body[low:start], body[end:high]]) if remove else body[low:high]
        pairs.queries.append(corpus.query_row(query, max_query_tokens))
        pairs.passages.append(corpus.passage_row(int(others[int(rng.integers(len(others)))])))
    return pairs


class RecurringPairs:
    """Batches of recurring-span pairs of a corpus; they are a function of seed and step."""

    def __init__(self, config: Config, corpus: Corpus) -> None:
        """Raises BadInput if no name occurs in several passages."""
        self._config, self._corpus = config, corpus
        self._spans = RecurringSpans(corpus, kinds=_KINDS, max_passages=_MAX_PASSAGES)
        if not len(self._spans.passages):
            raise BadInput(
                f"{corpus.folder} has no name that occurs in several passages; set warm_start.recurring_batch and "
                "pretrain.recurring_batch to 0, or provide more text."
            )
        self._order = Order(self._spans.passages, config.seed)

    def pairs(self, step: int, size: int) -> Pairs:
        """The `size` pairs of a step."""
        settings = self._config.warm_start
        return recurring_pairs(
            self._corpus,
            self._spans,
            self._order.take(step * size, size),
            np.random.default_rng([self._config.seed, _STREAM, step]),
            max_query_tokens=settings.max_query_tokens,
            remove_rate=settings.remove_span_rate,
        )
