"""The task that trains a base encoder: masked words, the Inverse Cloze Task and distillation at once."""

from __future__ import annotations

import itertools
import resource
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from openrealm.base.batches import Batch, Batches
from openrealm.base.copying import start_by_copying
from openrealm.base.examples import BaseExamples
from openrealm.base.measure import Heldout
from openrealm.base.model import Base, fresh_backbone
from openrealm.base.settings import BaseSettings
from openrealm.base.teacher import TeacherVectors, similarity_loss
from openrealm.base.texts import SpanIndex, Texts
from openrealm.engine import num_cores
from openrealm.errors import BadConfig
from openrealm.model.encoder import load_backbone
from openrealm.model.heads import stored_heads, take_head, take_projection
from openrealm.model.weights import backbone_location
from openrealm.train.pairs import in_batch_loss
from openrealm.train.task import Log, ParameterGroup, Row, Schedule, Task
from openrealm.train.trainer import Trainer

_LOG_STEPS = 10
_FREE_MEMORY_STEPS = 50
_MAX_WORKERS = 12
# Settings that do not affect the weights and may differ when training is resumed.
_FREE = ("name", "eval_steps", "num_heldout_queries", "checkpoint_steps")


class BaseEncoding(Task[Batch]):
    """Trains a base encoder on masked words, with and without passages, the Inverse Cloze Task, and distillation.

    Use the model returned by `new_model`. `openrealm.base.prepare.train_base` does everything from sources of text to a
    folder of weights.

    >>> import openrealm as orm
    >>> from openrealm.base.prepare import tiny
    >>> from openrealm.base.texts import Texts
    >>> corpus = orm.Corpus.build("my_docs/", "corpus/")
    >>> settings = tiny(orm.tasks.BaseSettings()).replace(heldout_rate=0.0, vocab_size=corpus.tokenizer().vocab_size)
    >>> task = orm.tasks.BaseEncoding(Texts([corpus], settings.heldout_rate, settings.seed), settings)
    >>> orm.Trainer(task.new_model(), task, "training/", num_steps=1).train().num_steps
    1
    """

    name: ClassVar[str] = "base"
    splits_batches: ClassVar[bool] = True

    def __init__(self, texts: Texts, settings: BaseSettings, teacher: TeacherVectors | None = None) -> None:
        """Index the texts. Raises BadInput if there is nothing to train on."""
        self.settings, self.texts, self.teacher = settings, texts, teacher
        self._examples = BaseExamples(texts, SpanIndex(texts), settings)
        self.schedule = Schedule.from_settings(
            settings, checkpoint_at_end=True, log_steps=_LOG_STEPS, free_memory_steps=_FREE_MEMORY_STEPS
        )

    def new_model(self) -> Base:
        """A new model for these settings and texts, see `first_model`."""
        return first_model(self.settings, self.texts)

    def setup(self, trainer: Trainer) -> None:
        """Choose the size of chunks to suit the device, and draw the held-out queries."""
        super().setup(trainer)
        self._batches = Batches(self._examples, teacher=self.teacher, on_cpu=trainer.engine.device == "cpu")
        self._heldout = Heldout(self._examples, self._batches, self.settings.num_heldout_queries)

    def parameter_groups(self, model: Base) -> list[ParameterGroup]:
        """All weights, with one learning rate."""
        return [(model.parameters(), self.settings.learning_rate)]

    def batch(self, step: int, rank: int = 0, num_ranks: int = 1) -> Batch:
        """The part of a step's batch for one of `num_ranks` processes, a function of seed and arguments."""
        return self._batches.batch(step, rank, num_ranks)

    def batches(self, first_step: int, rank: int = 0, num_ranks: int = 1) -> Iterator[Batch]:
        """All batches from a step onwards; with a CUDA device they are prepared by other processes."""
        num_workers = 0
        if self.trainer.engine.device != "cpu":
            num_workers = max(1, min(_MAX_WORKERS, num_cores() - 1))
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each tensor in transit keeps a file open
        loader: DataLoader[Batch] = DataLoader(
            _Steps(self, rank, num_ranks),
            batch_size=None,
            sampler=itertools.count(first_step),
            num_workers=num_workers,
            multiprocessing_context="fork" if num_workers else None,
        )
        return iter(loader)

    def losses(self, model: Base, batch: Batch, log: Log) -> Iterator[Tensor]:
        """The weighted sum of all losses, in nats."""
        settings, device = self.settings, torch.device(self.trainer.engine.device)
        parts = batch.masked, batch.queries, batch.passages, batch.taught
        masked, queries, passages, taught = ([chunk.to(device) for chunk in part] for part in parts)
        with self.trainer.engine.autocast():
            logit_MV, (query_BD, passage_BD, taught_BD) = model(masked, queries, passages, taught)
        gold_M = torch.cat([logit_MV.new_zeros(0, dtype=torch.long), *(chunk.gold_M for chunk in masked)])
        ranks = self.trainer.ranks
        weight = ranks.weight(len(gold_M))
        loss = weight * torch.nn.functional.cross_entropy(logit_MV, gold_M) if masked else 0.0 * logit_MV.sum()
        log |= {"num_tokens": batch.num_tokens, "mlm_loss": loss.detach()}
        if batch.num_pairs:
            ict_loss, accuracy = in_batch_loss(query_BD / settings.temperature, passage_BD, ranks)
            loss = loss + settings.ict_weight * ict_loss
            log |= {"ict_loss": ict_loss.detach(), "ict_accuracy": accuracy}
        if self.teacher is not None:
            teacher_loss = similarity_loss(taught_BD, batch.teacher_BE.to(device), settings.temperature, ranks)
            loss = loss + settings.teacher_weight * teacher_loss
            log["teacher_loss"] = teacher_loss.detach()
        yield loss

    def evaluate(self, model: Base) -> Row:
        """Metrics of masked names, with and without a passage, and of retrieval on held-out text."""
        return self._heldout.measure(model, self.trainer.engine)

    def fingerprint(self) -> Any:
        """Settings, texts and the teacher's vectors."""
        values = {name: value for name, value in self.settings.to_dict().items() if name not in _FREE}
        digests = [corpus.digest for corpus in self.texts.corpora]
        return [values, digests, self.teacher and self.teacher.digest]


class _Steps(Dataset[Batch]):
    """The batches of one process by step, for torch's data loader."""

    def __init__(self, task: BaseEncoding, rank: int, num_ranks: int) -> None:
        self._task, self._rank, self._num_ranks = task, rank, num_ranks

    def __getitem__(self, step: int) -> Batch:
        return self._task.batch(step, self._rank, self._num_ranks)


def first_model(settings: BaseSettings, texts: Texts) -> Base:
    """A new model, initialised from `settings.start` or at random.

    The bias of an untrained head is the log frequency of each word piece. Raises BadConfig if the weights of
    `settings.start` have another shape.
    """
    tokenizer = texts.tokenizer
    torch.manual_seed(settings.seed)
    backbone = fresh_backbone(
        num_layers=settings.num_layers,
        hidden_size=settings.hidden_size,
        num_heads=settings.num_heads,
        inner_size=settings.inner_size,
        vocab_size=tokenizer.vocab_size,
        max_positions=settings.max_positions,
        pad_id=tokenizer.pad_id,
    )
    if settings.copy_start:
        start_by_copying(backbone)
    model = Base(backbone, tokenizer.pad_id, tokenizer.vocab_size, settings.projection_dim)
    num_V = torch.bincount(torch.from_numpy(texts.body.values.astype("int64")), minlength=tokenizer.vocab_size) + 0.5
    model.head.bias.data.copy_((num_V / num_V.sum()).log())
    if settings.start is not None:
        _initialise_from(model, settings.start)
    return model


def _initialise_from(model: Base, start: str) -> None:
    """Load the weights of the encoder `start`, and of its head and projection if it has them."""
    stored: Any = load_backbone(start, dropout=0.0)
    try:
        model.encoder.backbone.load_state_dict(stored.state_dict())
    except RuntimeError as error:
        has = stored.config
        raise BadConfig(
            f"base.start: {start} has other dimensions than the settings; use --set num_layers={has.num_hidden_layers} "
            f"--set hidden_size={has.hidden_size} --set num_heads={has.num_attention_heads} --set inner_size="
            f"{has.intermediate_size} --set max_positions={has.max_position_embeddings}."
        ) from error
    heads = stored_heads(backbone_location(start))
    take_head(model.head, heads)
    take_projection(model.tower.projection, heads)
