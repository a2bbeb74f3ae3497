"""The task that trains a span reader: answers in the right passage, nothing in the others.

Axes: R rows (a question with a passage), P body tokens, W span widths, B questions.
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
from openrealm.qa.pool import Item
from openrealm.qa.settings import QaSettings
from openrealm.text.pack import Row
from openrealm.train.examples import Order
from openrealm.train.task import Log, ParameterGroup, Schedule, Task
from openrealm.train.task import Row as Metrics
from openrealm.train.trainer import Trainer

_STREAM = 71


@dataclass(frozen=True, slots=True)
class ReadingBatch:
    """Rows to read.

    rows      joint inputs
    starts    positions of the first body token of each row
    owner     the question of each row, 0 to B - 1
    correct   (row, first token, width - 1) of every correct span
    """

    rows: list[Row]
    starts: list[int]
    owner: list[int]
    correct: list[tuple[int, int, int]]
    num_questions: int


class SpanReading(Task[ReadingBatch]):
    """Trains the span reader over the passages of each question, with an answer in none of them as one outcome.

    The loss is that of ORQA (Lee et al. 2019, Sec. 4) with one more span, "no answer", whose logit is 0:
    -log(sum over correct spans of exp g / (1 + sum over all spans of all passages of exp g)).
    """

    name: ClassVar[str] = "span_reading"

    def __init__(self, corpus: Corpus, items: Sequence[Item], heldout: Sequence[Item], settings: QaSettings) -> None:
        self.corpus, self.items, self.heldout, self.settings = corpus, items, heldout, settings
        self._order = Order(range(len(items)), settings.seed)
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
        """Questions of a step and the passages drawn for them, a function of seed and step."""
        settings = self.settings
        rng = np.random.default_rng([settings.seed, _STREAM, step])
        chosen = [self.items[i] for i in self._order.take(step * settings.batch_size, settings.batch_size)]
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
        return self._packed(chosen, passages, rng)

    def _packed(
        self, chosen: Sequence[Item], passages: Sequence[Sequence[int]], rng: np.random.Generator | None = None
    ) -> ReadingBatch:
        settings = self.settings
        rows: list[Row] = []
        starts, owner, correct = [], [], []
        for b, (item, numbers) in enumerate(zip(chosen, passages, strict=True)):
            for number in numbers:
                with_title = rng is None or rng.random() < settings.title_rate
                row, start = self.corpus.joint_row(
                    item.tokens, number, settings.max_joint_tokens, with_title=with_title
                )
                correct += [
                    (len(rows), first, width)
                    for n, first, width in item.spans
                    if n == number and start + first + width < len(row) - 1
                ]
                rows.append(row)
                starts.append(start)
                owner.append(b)
        return ReadingBatch(rows, starts, owner, correct, len(chosen))

    def losses(self, model: Realm, batch: ReadingBatch, log: Log) -> Iterator[Tensor]:
        """The mean loss of the questions, in nats."""
        assert model.span_reader is not None
        with self.trainer.engine.autocast():
            g_RPW, valid_RPW = model.span_reader(batch.rows, batch.starts)
        loss_B = reading_loss(g_RPW, valid_RPW, batch)
        log |= {"num_tokens": sum(map(len, batch.rows)), "loss": loss_B.detach().mean()}
        yield loss_B.mean()

    @torch.no_grad()
    def evaluate(self, model: Realm) -> Metrics:
        """On held-out questions: how often the best span of the right passage is correct, alone and beside a wrong one,
        and how well the best logit tells right passages from wrong ones.
        """
        assert model.span_reader is not None
        was_training = model.training
        model.eval()
        right, right_beside, wins, total = 0, 0, 0, 0
        best_right, best_wrong = [], []
        chosen = [item for item in self.heldout if item.negatives][: self.settings.num_heldout]
        for start in range(0, len(chosen), 16):
            part = chosen[start : start + 16]
            batch = self._packed(part, [[item.spans[0][0], item.negatives[0]] for item in part])
            with self.trainer.engine.autocast():
                g_RPW, valid_RPW = model.span_reader(batch.rows, batch.starts)
            best_R, where_R = g_RPW.masked_fill(~valid_RPW, -torch.inf).flatten(1).max(dim=1)
            correct = set(batch.correct)
            num_widths = g_RPW.shape[2]
            for b in range(len(part)):
                found = (2 * b, *divmod(int(where_R[2 * b]), num_widths)) in correct
                ahead = bool(best_R[2 * b] > best_R[2 * b + 1])
                right += found
                wins += ahead
                right_beside += found and ahead
                total += 1
            best_right += best_R[::2].tolist()
            best_wrong += best_R[1::2].tolist()
        model.train(was_training)
        threshold = float(np.quantile(best_right, 0.1))
        declined = float(np.mean(np.asarray(best_wrong) < threshold))
        return {
            "exact": right / total,
            "exact_beside": right_beside / total,
            "ahead": wins / total,
            "declined_at_10": declined,
        }

    def fingerprint(self) -> Any:
        """Settings, corpus and number of questions."""
        return [self.settings.to_dict(), self.corpus.digest, len(self.items)]


def reading_loss(g_RPW: Tensor, valid_RPW: Tensor, batch: ReadingBatch) -> Tensor:
    """-log p of all correct spans, or of "no answer" where there is none, for each of B questions, in nats."""
    device = g_RPW.device
    logit_RS = g_RPW.masked_fill(~valid_RPW, -torch.inf).flatten(1)
    width = max(batch.owner.count(b) for b in range(batch.num_questions))
    total_R = logit_RS.logsumexp(dim=1)
    total_BK = torch.full((batch.num_questions, width + 1), -torch.inf, device=device)
    correct_RS = torch.zeros_like(valid_RPW)
    if batch.correct:
        r, p, w = torch.tensor(batch.correct).T
        correct_RS[r, p, w] = True
    has_R = correct_RS.flatten(1).any(dim=1)
    correct_R = logit_RS.masked_fill(~(correct_RS.flatten(1) | ~has_R[:, None]), -torch.inf).logsumexp(dim=1)
    owner_R = torch.tensor(batch.owner)
    place_R = torch.tensor([batch.owner[:i].count(b) for i, b in enumerate(batch.owner)])
    total_BK = total_BK.index_put((owner_R, place_R), total_R)
    null_BK = torch.zeros_like(total_BK[:, :1])
    total_B = torch.cat([total_BK[:, :-1], null_BK], dim=1).logsumexp(dim=1)
    right_BK = torch.full((batch.num_questions, width), -torch.inf, device=device)
    right_BK = right_BK.index_put((owner_R, place_R), torch.where(has_R, correct_R, torch.full_like(correct_R, -1e4)))
    has_B = torch.zeros(batch.num_questions, dtype=torch.bool, device=device)
    has_B[owner_R[has_R.cpu()]] = True
    right_B = torch.where(has_B, right_BK.logsumexp(dim=1), torch.zeros_like(total_B))
    return total_B - right_B
