"""The task that trains the retrieval towers on questions: the right passage among those of the batch.

Axes: B questions, N passages of a batch or of an evaluation, D vector dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from openrealm.corpus.corpus import Corpus
from openrealm.model.realm import Realm
from openrealm.qa.pool import Item, digest_of
from openrealm.qa.questions import counts_of
from openrealm.qa.settings import QaSettings
from openrealm.text.pack import Row
from openrealm.train.examples import Order
from openrealm.train.pairs import own_passage_loss
from openrealm.train.ranks import ALONE, Ranks
from openrealm.train.task import Log, ParameterGroup, Schedule, Task
from openrealm.train.task import Row as Metrics
from openrealm.train.trainer import Trainer

_STREAM = 72
_EVALUATED_NEGATIVES = 2
_SETTINGS = (
    "seed", "tower_steps", "tower_batch_size", "tower_learning_rate", "shares", "max_query_tokens", "backbone", "start"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MatchingBatch:
    """Questions and passages to match: those of one process, matched with the passages of all.

    queries   rows of the questions
    passages  numbers of the passages
    own       for each question the place of its passage among those of all processes
    others    for each question the places there of further passages that hold an answer to it
    """

    queries: list[Row]
    passages: list[int]
    own: list[int]
    others: list[list[int]]


class PassageMatching(Task[MatchingBatch]):
    """Trains the towers to tell a question's passage from those of the other questions and from hard negatives.

    A batch has a passage with the answer and one of BM25's without it for each question (Karpukhin et al. 2020, Sec.
    3.2). The word embeddings stay as they are.
    """

    name: ClassVar[str] = "passage_matching"
    splits_batches: ClassVar[bool] = True

    def __init__(
        self, corpus: Corpus, sources: Sequence[Sequence[Item]], heldout: Sequence[Item], settings: QaSettings
    ) -> None:
        """Train on the items of `sources`, of which each gives its share (`counts_of`) of every batch.

        Raises BadInput if a source is empty, BadConfig if `counts_of` does.
        """
        self.corpus, self.sources, self.heldout, self.settings = corpus, sources, heldout, settings
        self._orders = [Order(range(len(source)), settings.seed + _STREAM) for source in sources]
        self._counts = counts_of([len(source) for source in sources], settings.shares, settings.tower_batch_size)
        self.schedule = Schedule(
            num_steps=settings.tower_steps,
            warmup_steps=-(-settings.tower_steps // 10),
            weight_decay=settings.weight_decay,
            clip_norm=settings.clip_norm,
            eval_steps=-(-settings.tower_steps // 2),
            checkpoint_steps=settings.checkpoint_steps,
            checkpoint_at_end=True,
            log_steps=10,
            free_memory_steps=50,
        )

    def setup(self, trainer: Trainer) -> None:
        """Freeze everything but the towers, and their word embeddings."""
        super().setup(trainer)
        model: Realm = trainer.model
        model.requires_grad_(False)
        model.retriever.requires_grad_(True)
        for tower in (model.retriever.query_tower, model.retriever.passage_tower):
            tower.encoder.word_embeddings().requires_grad_(False)

    def parameter_groups(self, model: Realm) -> list[ParameterGroup]:
        """The towers."""
        return [(model.retriever.parameters(), self.settings.tower_learning_rate)]

    def batch(self, step: int, rank: int = 0, num_ranks: int = 1) -> MatchingBatch:
        """Questions of a step and the passages drawn for them, a function of seed, step and rank."""
        rng = np.random.default_rng([self.settings.seed, _STREAM, step])
        chosen = [
            source[i]
            for source, order, count in zip(self.sources, self._orders, self._counts, strict=True)
            for i in order.take(step * count, count)
        ]
        positive = [int(rng.choice([passage for passage, _, _ in item.spans])) for item in chosen]
        negative = [int(rng.choice(item.negatives)) for item in chosen if item.negatives]
        whole = self._matched(chosen, positive, negative)
        mine = slice(rank, None, num_ranks)
        return MatchingBatch(whole.queries[mine], whole.passages[mine], whole.own[mine], whole.others[mine])

    def _matched(self, items: Sequence[Item], positive: Sequence[int], negative: Sequence[int]) -> MatchingBatch:
        """The whole batch: each passage is there once."""
        passages = list(dict.fromkeys([*positive, *negative]))
        place = {passage: number for number, passage in enumerate(passages)}
        right = [{passage for passage, _, _ in item.spans} & place.keys() for item in items]
        return MatchingBatch(
            [self.corpus.query_row(item.tokens, len(item.tokens) + 2) for item in items],
            passages,
            [place[passage] for passage in positive],
            [sorted(place[p] for p in found - {own}) for found, own in zip(right, positive, strict=True)],
        )

    def losses(self, model: Realm, batch: MatchingBatch, log: Log) -> Iterator[Tensor]:
        """The mean loss of the questions, in nats."""
        ranks = self.trainer.ranks
        score_BN = self._scores(model, batch, ranks)
        loss, log["accuracy"] = own_passage_loss(score_BN, torch.tensor(batch.own, device=score_BN.device), ranks)
        log["loss"] = loss.detach()
        yield loss

    @torch.no_grad()
    def evaluate(self, model: Realm) -> Metrics:
        """How held-out questions are matched with their passages, among those of all and two hard negatives of each.

        recall@1  share of questions whose passage has the highest score
        """
        chosen = [item for item in self.heldout if item.negatives][: self.settings.num_heldout]
        if not chosen:
            return {}
        was_training = model.training
        model.eval()
        negative = [passage for item in chosen for passage in item.negatives[:_EVALUATED_NEGATIVES]]
        batch = self._matched(chosen, [item.spans[0][0] for item in chosen], negative)
        best_B = self._scores(model, batch).argmax(dim=1)
        model.train(was_training)
        return {"recall@1": float((best_B.cpu() == torch.tensor(batch.own)).float().mean())}

    def _scores(self, model: Realm, batch: MatchingBatch, ranks: Ranks = ALONE) -> Tensor:
        """f(x,z) of the questions and the passages of all `ranks`, B x N; minus infinity for a question's `others`."""
        with self.trainer.engine.autocast():
            query_BD = model.retriever.encode_query(batch.queries)
            passage_ND = model.retriever.encode_passage([self.corpus.passage_row(i) for i in batch.passages])
        score_BN = query_BD @ ranks.gather(passage_ND).T
        is_other_BN = torch.zeros(score_BN.shape, dtype=torch.bool)
        for question, places in enumerate(batch.others):
            is_other_BN[question, places] = True
        return score_BN.masked_fill(is_other_BN.to(score_BN.device), -torch.inf)

    def fingerprint(self) -> Any:
        """Settings, corpus, questions and their passages."""
        values = self.settings.to_dict()
        return [[values[name] for name in _SETTINGS], self.corpus.digest, digest_of(self.sources)]
