"""The Inverse Cloze Task: retrieve the passage that a sentence was taken from (Lee et al. 2019, Sec. 5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.model.realm import Realm
from openrealm.text.pack import Row, pack_passage
from openrealm.train.examples import Order
from openrealm.train.task import Log


@dataclass(frozen=True, slots=True)
class Pairs:
    """Encoder rows of sentences and, at the same positions, of the passages they were taken from."""

    queries: list[Row]
    passages: list[Row]

    def __len__(self) -> int:
        return len(self.queries)


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


def inverse_cloze_loss(query_BD: Tensor, passage_BD: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of each query's own passage among those of the batch, in nats, and the accuracy.

    query_BD, passage_BD  vectors; row b of both belongs to pair b
    """
    score_BB = query_BD @ passage_BD.T
    own_B = torch.arange(score_BB.shape[0], device=score_BB.device)
    return torch.nn.functional.cross_entropy(score_BB, own_B), (score_BB.argmax(dim=1) == own_B).float().mean()


class InverseCloze:
    """Batches and loss of the Inverse Cloze Task on a corpus; batches are a function of seed and step."""

    def __init__(self, config: Config, corpus: Corpus) -> None:
        self._config, self._corpus = config, corpus
        several = [i for i in range(corpus.num_passages) if len(corpus.sentences(i)) > 1]
        self._order = Order(several or range(corpus.num_passages), config.seed)

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

    def loss(self, model: Realm, pairs: Pairs, engine: Engine, log: Log) -> Tensor:
        """The loss of `pairs` in nats; logs ict_loss and ict_accuracy."""
        with engine.autocast():
            query_BD = model.retriever.encode_query(pairs.queries)
            passage_BD = model.retriever.encode_passage(pairs.passages)
        loss, accuracy = inverse_cloze_loss(query_BD, passage_BD)
        log |= {"ict_loss": float(loss.detach()), "ict_accuracy": float(accuracy)}
        return loss
