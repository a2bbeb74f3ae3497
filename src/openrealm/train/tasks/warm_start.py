"""Warm start: towers by the Inverse Cloze Task, the reader by masked words (Guu et al. 2020, Sec. 3.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from openrealm.config import Config, WarmStartConfig
from openrealm.corpus.corpus import Corpus
from openrealm.index.bm25 import Bm25
from openrealm.model.realm import Realm
from openrealm.recipes.small import small_encoder
from openrealm.train.examples import Example, pretraining_examples
from openrealm.train.in_batch import InBatchLosses
from openrealm.train.optimizer import pretraining_groups
from openrealm.train.pairs import Pairs
from openrealm.train.task import Log, ParameterGroup, Schedule, Task
from openrealm.train.trainer import Trainer
from openrealm.types import NULL

_NUM_RELATED = 5


@dataclass(frozen=True, slots=True)
class WarmStartBatch:
    """Pairs for the towers, by loss; masked queries for the reader and the passage each is read with."""

    pairs: dict[str, Pairs]
    examples: Sequence[Example]
    contexts: Sequence[int]


class WarmStart(Task[WarmStartBatch]):
    """Trains the towers to match sentences to their passages, and the reader to fill in words given a passage.

    >>> import openrealm as orm
    >>> corpus = orm.Corpus.build("my_docs/", "corpus/")
    >>> model = orm.Realm.from_pretrained("openrealm-mini")
    >>> warm_start = orm.tasks.WarmStart(corpus, ict_batch=2, mlm_batch=2)
    >>> sorted(orm.Trainer(model, warm_start, "training/", num_steps=1).train().recent)[:3]
    ['ict_accuracy', 'ict_loss', 'mlm_loss']
    """

    name: ClassVar[str] = "warm_start"
    splits_batches: ClassVar[bool] = True

    def __init__(self, corpus: Corpus, *, config: Config | None = None, **settings: Any) -> None:
        """Prepare the masked examples.

        config    settings; None means those of the recipe small-encoder for a corpus of this size
        settings  fields of `WarmStartConfig` that override `config`
        Raises BadInput if too few passages contain something to mask or no name recurs, BadConfig for an unknown
        setting.
        """
        config = small_encoder(len(corpus)) if config is None else config
        self.config = config.replace(warm_start=config.warm_start.replace(**settings))
        self.settings = self.config.warm_start
        self.corpus = corpus
        self.examples = pretraining_examples(self.config, corpus)
        self._in_batch = InBatchLosses(
            self.config, corpus, ict_batch=self.settings.ict_batch, recurring_batch=self.settings.recurring_batch
        )
        self._contexts = ContextChooser(corpus, self.settings)
        self.schedule = Schedule.from_settings(self.settings)

    def setup(self, trainer: Trainer) -> None:
        """Initialise the bias of an untrained head, if it is trained, with the log frequencies of word pieces."""
        super().setup(trainer)
        if self.settings.mlm_batch and not trainer.model.has_trained_head:
            start_from_unigrams(trainer.model, self.corpus)
            trainer.model.has_trained_head = True  # keep the head if the model is saved or trained again

    def parameter_groups(self, model: Realm) -> list[ParameterGroup]:
        """The reader's encoder, its head and the towers, each with its own learning rate."""
        return pretraining_groups(model, self.settings)

    def batch(self, step: int, rank: int = 0, num_ranks: int = 1) -> WarmStartBatch:
        """Pairs and masked queries of a step, a function of seed, step and rank."""
        size = self.settings.mlm_batch
        draw_N2 = np.random.default_rng([self.config.seed, 5, step]).random((size, 2))[rank::num_ranks]
        examples = self.examples.batch(step, size, rank, num_ranks) if size else []
        pairs = self._in_batch.batch(step, rank, num_ranks)
        return WarmStartBatch(pairs, examples, self._contexts.choose(examples, draw_N2))

    def losses(self, model: Realm, batch: WarmStartBatch, log: Log) -> Iterator[Tensor]:
        """The losses of the towers, then the masked-word loss, all in nats."""
        ranks = self.trainer.ranks
        yield from self._in_batch.losses(model, batch.pairs, self.trainer.engine, log, ranks)
        weight = ranks.weight(sum(len(example.positions) for example in batch.examples))
        if batch.examples:
            joint = self.config.pretrain
            max_tokens = self.corpus.joint_tokens(joint.max_query_tokens, joint.max_joint_tokens)
            with self.trainer.engine.autocast():
                loss = weight * masked_word_loss(model, self.corpus, batch.examples, batch.contexts, max_tokens)
            log["mlm_loss"] = float(loss.detach())
            yield loss

    def fingerprint(self) -> Any:
        """Settings and corpus."""
        values = self.config.to_dict()
        pretrain = [values["pretrain"][k] for k in ("max_query_tokens", "max_joint_tokens", "num_heldout_queries")]
        sections = [values[name] for name in ("seed", "model", "masking", "warm_start")]
        return [sections, pretrain, self.corpus.digest]


class ContextChooser:
    """Chooses the passage that a masked query is read with: its own, a related one, or the null passage.

    With its own passage the reader learns to copy; with a related one (found by BM25 for the unmasked query, outside
    the query's own group), to find the answer in other words and when not to copy; with the null passage it remains a
    language model.
    """

    def __init__(self, corpus: Corpus, settings: WarmStartConfig) -> None:
        self._corpus, self._settings = corpus, settings
        self._bm25 = Bm25.build(corpus) if settings.related_rate else None

    def choose(self, examples: Sequence[Example], draw_N2: npt.NDArray[np.float64]) -> list[int]:
        """A passage number for each example.

        draw_N2  two random numbers below 1 for each: for the kind of passage, and for one of the related passages
        """
        own, related = self._settings.passage_rate, self._settings.related_rate
        kinds = draw_N2[:, 0].tolist()
        chosen = [example.passage if kind < own else NULL for example, kind in zip(examples, kinds, strict=True)]
        to_search = [n for n, kind in enumerate(kinds) if own <= kind < own + related]
        if self._bm25 is not None and to_search:
            texts = [self._corpus.tokenizer().decode(examples[n].original.tolist()) for n in to_search]
            for n, row in zip(to_search, self._bm25.search(texts, _NUM_RELATED)[1].tolist(), strict=True):
                group = self._corpus.group(examples[n].passage)
                others = [passage for passage in row if self._corpus.group(passage) != group]
                chosen[n] = others[int(draw_N2[n, 1] * len(others))] if others else NULL
        return chosen


def masked_word_loss(
    model: Realm, corpus: Corpus, examples: Sequence[Example], contexts: Sequence[int], max_tokens: int
) -> Tensor:
    """-log p of the masked tokens in nats, mean over tokens, each query read with its passage in `contexts`."""
    with_title = model.config.title_in_joint
    rows = [
        corpus.joint_row(e.query, passage, max_tokens, with_title=with_title)[0]
        for e, passage in zip(examples, contexts, strict=True)
    ]
    logp_nJ = model.reader.gold_log_prob(
        rows, [[p + 1 for p in e.positions] for e in examples], [list(e.gold) for e in examples]
    )
    return -logp_nJ.sum() / sum(len(e.positions) for e in examples)


def start_from_unigrams(model: Realm, corpus: Corpus) -> None:
    """Set the head's bias to the log frequency of each word piece, which a head would otherwise learn first."""
    num_V = corpus.piece_counts().astype(np.float64)
    logp_V = np.log((num_V + 0.5) / (num_V + 0.5).sum())
    model.reader.head.bias.data.copy_(torch.from_numpy(logp_V))
