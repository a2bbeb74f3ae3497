"""The Inverse Cloze Task: a sentence must find the passage it was taken from (Lee et al. 2019, Sec. 5.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.model.realm import Realm
from openrealm.text.pack import Row, pack_passage
from openrealm.train.examples import Order
from openrealm.train.layout import Layout


def inverse_cloze(
    corpus: Corpus,
    layout: Layout,
    passages: Sequence[int],
    rng: np.random.Generator,
    *,
    max_query_tokens: int,
    remove_rate: float,
    with_title: bool,
) -> tuple[list[Row], list[Row]]:
    """Pairs of a sentence and its passage, the sentence removed from it at `remove_rate` (Lee et al. 2019, Sec. 5.1).

    Returns query rows and passage rows, pair by pair. Passages of one sentence keep it.
    """
    queries, targets = [], []
    separator = corpus.tokenizer().encode(":")[0] if with_title else []
    for passage in passages:
        body = layout.body(passage)
        title = np.asarray(corpus.title_tokens(passage), dtype=np.int64)
        bounds = np.asarray(corpus.sentences(passage))
        start, end = bounds[int(rng.integers(len(bounds)))]
        query = np.concatenate([title, separator, body[start:end]]) if with_title and len(title) else body[start:end]
        remove = len(bounds) > 1 and rng.random() < remove_rate
        kept = np.concatenate([body[:start], body[end:]]) if remove else body
        queries.append(layout.query(query.astype(np.int64), max_query_tokens))
        targets.append(pack_passage(title, kept, layout.specials, layout.max_passage_tokens))
    return queries, targets


def inverse_cloze_loss(query_BD: Tensor, passage_BD: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each query's own passage among the batch's, in nats, and the share that ranks it first."""
    score_BB = query_BD @ passage_BD.T
    own_B = torch.arange(score_BB.shape[0], device=score_BB.device)
    return torch.nn.functional.cross_entropy(score_BB, own_B), (score_BB.argmax(dim=1) == own_B).float().mean()


class InverseCloze:
    """ICT batches of a corpus, step by step: a function of seed and step."""

    def __init__(self, config: Config, corpus: Corpus, layout: Layout) -> None:
        self._config, self._corpus, self._layout = config, corpus, layout
        several = [i for i in range(corpus.num_passages) if len(corpus.sentences(i)) > 1]
        self._order = Order(several or range(corpus.num_passages), config.seed)

    def backward(self, model: Realm, engine: Engine, step: int, size: int) -> dict[str, float]:
        """One forward and backward pass over `size` sentences; returns ict_loss (nats) and ict_accuracy."""
        settings = self._config.warm_start
        queries, targets = inverse_cloze(
            self._corpus,
            self._layout,
            self._order.take_with_neighbours(step * size, size, settings.ict_neighbours),
            np.random.default_rng([self._config.seed, 5, step]),
            max_query_tokens=settings.max_query_tokens,
            remove_rate=settings.remove_sentence_rate,
            with_title=self._config.masking.title_in_query,
        )
        with engine.autocast():
            query_BD, passage_BD = model.retriever.encode_query(queries), model.retriever.encode_passage(targets)
        loss, accuracy = inverse_cloze_loss(query_BD, passage_BD)
        loss.backward()  # type: ignore[no-untyped-call]
        return {"ict_loss": float(loss.detach()), "ict_accuracy": float(accuracy)}
