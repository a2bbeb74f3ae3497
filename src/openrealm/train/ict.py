"""The Inverse Cloze Task: retrieve the passage that a sentence was taken from (Lee et al. 2019, Sec. 5.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.text.pack import pack_passage
from openrealm.train.examples import Order
from openrealm.train.pairs import Pairs


def inverse_cloze(
    corpus: Corpus,
    passages: Sequence[int],
    rng: np.random.Generator,
    *,
    max_query_tokens: int,
    remove_rate: float,
    with_title: bool,
) -> Pairs:
    """A random sentence of each passage, and the passage.

    remove_rate  probability that the sentence is removed from the passage, unless it is the only one
    with_title   prepend the article's title to the sentence
    """
    pairs = Pairs([], [])
    separator = corpus.tokenizer().encode(":")[0] if with_title else []
    for passage in passages:
        body = corpus.body(passage)
        title = np.asarray(corpus.title_tokens(passage), dtype=np.int64)
        bounds = np.asarray(corpus.sentences(passage))
        start, end = bounds[int(rng.integers(len(bounds)))]
        query = np.concatenate([title, separator, body[start:end]]) if with_title and len(title) else body[start:end]
        remove = len(bounds) > 1 and rng.random() < remove_rate
        kept = np.concatenate([body[:start], body[end:]]) if remove else body
        pairs.queries.append(corpus.query_row(query.astype(np.int64), max_query_tokens))
        pairs.passages.append(pack_passage(title, kept, corpus.specials, corpus.max_row_tokens))
    return pairs


class InverseCloze:
    """Batches of the Inverse Cloze Task on a corpus; they are a function of seed and step."""

    def __init__(self, config: Config, corpus: Corpus) -> None:
        self._config, self._corpus = config, corpus
        several = np.flatnonzero(corpus.lengths("sentences") > 1)
        self._order = Order(several if len(several) else np.arange(corpus.num_passages), config.seed)

    def pairs(self, step: int, size: int) -> Pairs:
        """The `size` pairs of a step."""
        settings = self._config.warm_start
        return inverse_cloze(
            self._corpus,
            self._order.take_with_neighbours(step * size, size, settings.ict_neighbours),
            np.random.default_rng([self._config.seed, 5, step]),
            max_query_tokens=settings.max_query_tokens,
            remove_rate=settings.remove_sentence_rate,
            with_title=self._config.masking.title_in_query,
        )
