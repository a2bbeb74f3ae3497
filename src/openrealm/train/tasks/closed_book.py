"""Closed-book answering: the reader fills in the answer without a passage, from what its weights know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from openrealm.config import Config, FinetuneConfig
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.model.realm import Realm
from openrealm.recipes.small import small_encoder
from openrealm.text.pack import Row as EncoderRow
from openrealm.train.answers import finetune_fingerprint
from openrealm.train.examples import Order
from openrealm.train.optimizer import peak_rates
from openrealm.train.task import Log, ParameterGroup, Schedule, Task
from openrealm.types import NULL, Question


class ClosedBook(Task[list[int]]):
    """Trains the reader to fill in the first answer of each question, without a passage.

    >>> import openrealm as orm
    >>> corpus = orm.Corpus.build("my_docs/", "corpus/")
    >>> model = orm.Realm.from_pretrained("openrealm-mini")
    >>> closed_book = orm.tasks.ClosedBook(corpus, [orm.Question("Where is the library?", ("the old mill",))])
    >>> orm.Trainer(model, closed_book, "training/", num_steps=1).train().num_steps
    1
    """

    name: ClassVar[str] = "closed_book"
    splits_batches: ClassVar[bool] = True

    def __init__(
        self, corpus: Corpus, questions: Sequence[Question], *, config: Config | None = None, **settings: Any
    ) -> None:
        """Tokenize questions and answers; questions whose answers are regular expressions are skipped.

        config    settings; None means those of the recipe small-encoder for a corpus of this size
        settings  fields of `FinetuneConfig` that override `config`
        Raises BadInput if no question remains, BadConfig for an unknown setting.
        """
        config = small_encoder(len(corpus)) if config is None else config
        self.config = config.replace(finetune=config.finetune.replace(**settings))
        self.settings, self.corpus = self.config.finetune, corpus
        tokenizer = corpus.tokenizer()
        self.questions = list(questions)
        self._tokens = [ids for ids, _ in tokenizer.encode_batch([q.text for q in questions])]
        texts = [
            "" if question.regex else question.answers[0] for question in questions
        ]  # a pattern has no word pieces
        self._gold = [ids[: self.settings.max_span_tokens] for ids, _ in tokenizer.encode_batch(texts)]
        self._order = Order([i for i in range(len(questions)) if self._gold[i]], self.config.seed)
        self.schedule = Schedule.from_settings(self.settings)

    def parameter_groups(self, model: Realm) -> list[ParameterGroup]:
        """The masked-token head and the reader's encoder."""
        rate, head_rate, _ = peak_rates(self.settings)
        return [(model.reader.head.parameters(), head_rate), (model.reader.parameters(), rate)]

    def batch(self, step: int, rank: int = 0, num_ranks: int = 1) -> list[int]:
        """Indices of the questions of a step, a function of seed, step and rank."""
        return self._order.take(step * self.settings.batch_size, self.settings.batch_size)[rank::num_ranks]

    def losses(self, model: Realm, batch: list[int], log: Log) -> Iterator[Tensor]:
        """-log p of the answers' word pieces in nats, mean over word pieces."""
        gold = [self._gold[i] for i in batch]
        weight = self.trainer.ranks.weight(sum(map(len, gold)))
        if not batch:
            return
        masked = [
            masked_question(self.corpus, self._tokens[i], len(tokens), self.settings)
            for i, tokens in zip(batch, gold, strict=True)
        ]
        with self.trainer.engine.autocast():
            logp_nJ = model.reader.gold_log_prob(
                [row for row, _ in masked], [positions for _, positions in masked], gold
            )
        loss = weight * -logp_nJ.sum() / sum(map(len, gold))
        log["loss"] = float(loss.detach())
        yield loss

    def fingerprint(self) -> Any:
        """Settings, questions and corpus."""
        return finetune_fingerprint(self.config, self.corpus, self.questions)


def masked_question(
    corpus: Corpus, question: Sequence[int], num_masks: int, settings: FinetuneConfig
) -> tuple[EncoderRow, list[int]]:
    """`[CLS] question [MASK] … [MASK] [SEP] [SEP]` and the positions of the masks.

    The question is truncated so that it fits into `max_query_tokens` together with the masks.
    """
    cut = list(question)[: max(0, settings.max_query_tokens - 2 - num_masks)]
    row, _ = corpus.joint_row([*cut, *[corpus.specials.mask] * num_masks], NULL, settings.max_query_tokens + 1)
    return row, [1 + len(cut) + j for j in range(num_masks)]


@torch.inference_mode()
def answer_closed_book(
    model: Realm, corpus: Corpus, questions: Sequence[Question], settings: FinetuneConfig, engine: Engine
) -> list[str]:
    """Answer each question with the likeliest filling of 1 to `max_span_tokens` masks.

    Masks are filled independently; fillings of different lengths are compared by their mean log-probability.
    """
    model.eval()
    tokenizer = corpus.tokenizer()
    tokens = [ids for ids, _ in tokenizer.encode_batch([q.text for q in questions])]
    best_logp = np.full(len(questions), -np.inf)
    best_text = [""] * len(questions)
    for num_masks in range(1, settings.max_span_tokens + 1):
        masked = [masked_question(corpus, ids, num_masks, settings) for ids in tokens]
        with engine.autocast():
            filled_nJ, logp_n = model.reader.fill([row for row, _ in masked], [positions for _, positions in masked])
        for i, (ids, logp) in enumerate(zip(filled_nJ.tolist(), logp_n.tolist(), strict=True)):
            if logp > best_logp[i]:
                best_logp[i], best_text[i] = logp, tokenizer.decode(ids)
    return best_text
