"""The task that trains a span reader: answers in the right passage, nothing in the others.

Axes: B questions, R rows (a question with a passage), k rows of one question, P body tokens, W span widths, s spans.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from openrealm.corpus.corpus import Corpus
from openrealm.model.realm import Realm
from openrealm.qa.pool import Item, Span, digest_of
from openrealm.qa.questions import counts_of
from openrealm.qa.settings import QaSettings
from openrealm.text.pack import Row
from openrealm.train.examples import Order
from openrealm.train.task import Log, ParameterGroup, Schedule, Task
from openrealm.train.task import Row as Metrics
from openrealm.train.trainer import Trainer

_STREAM = 71
_ITEMS_AT_ONCE = 16
# Settings that do not affect the weights and may differ when training is resumed.
_FREE = (
    "tower_steps", "tower_batch_size", "tower_learning_rate",
    "name", "heldout_every", "eval_steps", "num_heldout", "checkpoint_steps", "num_calibration", "num_distractors"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReadingBatch:
    """Rows to read.

    rows      joint inputs, those of a question next to each other
    starts    positions of the first body token of each row
    num_rows  number of rows of each question
    correct   (row, first token, width - 1) of every correct span
    """

    rows: list[Row]
    starts: list[int]
    num_rows: list[int]
    correct: list[tuple[int, int, int]]


class SpanReading(Task[ReadingBatch]):
    """Trains the span reader over the passages of each question, with an answer in none of them as one outcome.

    The loss is that of ORQA (Lee et al. 2019, Sec. 4) with one more span, "no answer", whose logit is 0:
    -log(sum over correct spans of exp g / (1 + sum over all spans of all passages of exp g)).
    """

    name: ClassVar[str] = "span_reading"
    splits_batches: ClassVar[bool] = True

    def __init__(
        self, corpus: Corpus, sources: Sequence[Sequence[Item]], heldout: Sequence[Item], settings: QaSettings
    ) -> None:
        """Train on the items of `sources`, of which each gives its share (`counts_of`) of every batch.

        Raises BadInput if a source is empty, BadConfig if `counts_of` does.
        """
        self.corpus, self.sources, self.heldout, self.settings = corpus, sources, heldout, settings
        self._orders = [Order(range(len(source)), settings.seed) for source in sources]
        self._counts = counts_of([len(source) for source in sources], settings.shares, settings.batch_size)
        self.schedule = Schedule.from_settings(settings, checkpoint_at_end=True, log_steps=20, free_memory_steps=50)

    def setup(self, trainer: Trainer) -> None:
        """Freeze everything but the span reader, whose word embeddings stay those of the towers."""
        super().setup(trainer)
        model: Realm = trainer.model
        model.requires_grad_(False)
        assert model.span_reader is not None
        model.span_reader.requires_grad_(True)
        model.span_reader.encoder.word_embeddings().requires_grad_(False)

    def parameter_groups(self, model: Realm) -> list[ParameterGroup]:
        """The head and the encoder of the span reader."""
        assert model.span_reader is not None
        head = [p for n, p in model.span_reader.named_parameters() if not n.startswith("encoder.")]
        return [
            (head, self.settings.head_learning_rate),
            (model.span_reader.parameters(), self.settings.learning_rate),
        ]

    def batch(self, step: int, rank: int = 0, num_ranks: int = 1) -> ReadingBatch:
        """Questions of a step and the passages drawn for them, a function of seed, step and rank."""
        settings = self.settings
        rng = np.random.default_rng([settings.seed, _STREAM, step])
        chosen = [
            source[i]
            for source, order, count in zip(self.sources, self._orders, self._counts, strict=True)
            for i in order.take(step * count, count)
        ]
        passages = []
        for item in chosen:
            draw = rng.random()
            positive = int(rng.choice([n for n, _, _ in item.spans]))
            negatives = [int(n) for n in rng.permutation(np.asarray(item.negatives, dtype=np.int64))]
            if draw < settings.unanswerable_rate and negatives:
                passages.append(negatives[:1])
            elif draw < settings.unanswerable_rate + settings.negative_rate:
                passages.append([positive, *negatives[:1]])
            else:
                passages.append([positive])
        draw_B2 = rng.random((len(chosen), 2))
        mine = slice(rank, None, num_ranks)
        return self._packed(chosen[mine], passages[mine], draw_B2[mine])

    def _packed(
        self,
        chosen: Sequence[Item],
        passages: Sequence[Sequence[int]],
        draw_B2: npt.NDArray[np.float64] | None = None,
    ) -> ReadingBatch:
        """Each question with its passages, of which some have no title: those whose number in `draw_B2` is too high."""
        settings = self.settings
        rows: list[Row] = []
        starts: list[int] = []
        correct: list[Span] = []
        for question, (item, numbers) in enumerate(zip(chosen, passages, strict=True)):
            for place, number in enumerate(numbers):
                with_title = draw_B2 is None or bool(draw_B2[question, place] < settings.title_rate)
                row, start = self.corpus.joint_row(
                    item.tokens, number, settings.max_joint_tokens, with_title=with_title
                )
                correct += [
                    (len(rows), first, width)
                    for n, first, width in item.spans
                    if n == number and start + first + width < len(row) - 1  # the end of a long passage is cut off
                ]
                rows.append(row)
                starts.append(start)
        return ReadingBatch(rows, starts, [len(numbers) for numbers in passages], correct)

    def losses(self, model: Realm, batch: ReadingBatch, log: Log) -> Iterator[Tensor]:
        """The mean loss of the questions, in nats."""
        weight = self.trainer.ranks.weight(len(batch.num_rows))
        if not batch.rows:
            return
        loss = weight * reading_loss(*self._read(model, batch), batch).mean()
        log |= {"num_tokens": sum(map(len, batch.rows)), "loss": loss.detach()}
        yield loss

    @torch.no_grad()
    def evaluate(self, model: Realm) -> Metrics:
        """How held-out questions are read, each with its own passage and with one that holds no answer.

        exact           share of questions whose best span in the own passage is correct
        exact_beside    the same, if that span also has a higher logit than any in the other passage
        ahead           share of questions whose own passage has the higher best logit
        declined_at_10  share of the other passages whose best logit is below that of 90% of the own passages
        """
        chosen = [item for item in self.heldout if item.negatives][: self.settings.num_heldout]
        if not chosen:
            return {}
        was_training = model.training
        model.eval()
        found: list[tuple[bool, float, float]] = []
        for start in range(0, len(chosen), _ITEMS_AT_ONCE):
            part = chosen[start : start + _ITEMS_AT_ONCE]
            batch = self._packed(part, [[item.spans[0][0], item.negatives[0]] for item in part])
            g_RPW, valid_RPW = self._read(model, batch)
            best_R, where_R = g_RPW.masked_fill(~valid_RPW, -torch.inf).flatten(1).max(dim=1)
            best, where, correct = best_R.tolist(), where_R.tolist(), set(batch.correct)
            for own in range(0, len(batch.rows), 2):
                first, width = divmod(where[own], g_RPW.shape[2])
                found.append(((own, first, width) in correct, best[own], best[own + 1]))
        model.train(was_training)
        is_right, own_logit, other_logit = (np.asarray(values) for values in zip(*found, strict=True))
        is_ahead = own_logit > other_logit
        return {
            "exact": float(is_right.mean()),
            "exact_beside": float((is_right & is_ahead).mean()),
            "ahead": float(is_ahead.mean()),
            "declined_at_10": float((other_logit < np.quantile(own_logit, 0.1)).mean()),
        }

    def _read(self, model: Realm, batch: ReadingBatch) -> tuple[Tensor, Tensor]:
        """Scores of all spans, and which of them exist, both R x P x W."""
        assert model.span_reader is not None
        with self.trainer.engine.autocast():
            read: tuple[Tensor, Tensor] = model.span_reader(batch.rows, batch.starts)
        return read

    def fingerprint(self) -> Any:
        """Settings, corpus, questions and their passages."""
        values = {name: value for name, value in self.settings.to_dict().items() if name not in _FREE}
        return [values, self.corpus.digest, digest_of(self.sources)]


def reading_loss(g_RPW: Tensor, valid_RPW: Tensor, batch: ReadingBatch) -> Tensor:
    """-log p of all correct spans, or of "no answer" where there is none, for each of B questions, in nats.

    g_RPW      scores of all spans of the rows of `batch`
    valid_RPW  False where there is no such span
    """
    logit_RPW = g_RPW.masked_fill(~valid_RPW, -torch.inf)
    null_1 = g_RPW.new_zeros(1)
    loss = []
    for first, last in itertools.pairwise([0, *itertools.accumulate(batch.num_rows)]):
        correct = [span for span in batch.correct if first <= span[0] < last]
        correct_s = g_RPW[tuple(torch.tensor(correct).T)] if correct else null_1
        every_s = torch.cat([null_1, logit_RPW[first:last].flatten()])
        loss.append(every_s.logsumexp(dim=0) - correct_s.logsumexp(dim=0))
    return torch.stack(loss)
