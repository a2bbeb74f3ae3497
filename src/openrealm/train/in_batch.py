"""Losses of the towers alone, with in-batch negatives: the Inverse Cloze Task and recurring spans, whichever are on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.model.realm import Realm
from openrealm.train.ict import InverseCloze
from openrealm.train.pairs import Pairs, in_batch_loss
from openrealm.train.ranks import ALONE, Ranks
from openrealm.train.recurring import RecurringPairs
from openrealm.train.task import Log


class InBatchLosses:
    """Batches and losses of the pairs that are trained; batches are a function of seed and step."""

    def __init__(self, config: Config, corpus: Corpus, *, ict_batch: int, recurring_batch: int) -> None:
        """Prepare the kinds of pairs with more than 0 per step; raises BadInput if the corpus has no such pairs."""
        self._sizes = {"ict": ict_batch, "recurring": recurring_batch}
        makers: dict[str, type[InverseCloze | RecurringPairs]] = {"ict": InverseCloze, "recurring": RecurringPairs}
        self._makers = {name: makers[name](config, corpus) for name, size in self._sizes.items() if size}

    def batch(self, step: int, rank: int = 0, num_ranks: int = 1) -> dict[str, Pairs]:
        """The pairs of a step by the name of their loss, "ict" or "recurring"; with several processes, a part of them.

        The pairs of a batch are drawn one after another, so that each process has to draw them all.
        """
        return {
            name: maker.pairs(step, self._sizes[name]).part(rank, num_ranks) for name, maker in self._makers.items()
        }

    def losses(
        self, model: Realm, batch: Mapping[str, Pairs], engine: Engine, log: Log, ranks: Ranks = ALONE
    ) -> Iterator[Tensor]:
        """The loss of each kind of pairs, in nats; logs NAME_loss and NAME_accuracy."""
        for name, pairs in batch.items():
            with engine.autocast():
                query_BD = model.retriever.encode_query(pairs.queries)
                passage_BD = model.retriever.encode_passage(pairs.passages)
            loss, accuracy = in_batch_loss(query_BD, passage_BD, ranks)
            log |= {f"{name}_loss": float(loss.detach()), f"{name}_accuracy": float(accuracy)}
            yield loss
