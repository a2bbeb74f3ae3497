"""Training a base encoder of one's own: masked words, the Inverse Cloze Task and a teacher's likeness in one step."""

from __future__ import annotations

import itertools
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from openrealm import files
from openrealm.base.batches import Batch, Batches
from openrealm.base.copying import start_by_copying
from openrealm.base.examples import BaseExamples
from openrealm.base.measure import Heldout
from openrealm.base.model import Base, fresh_backbone
from openrealm.base.settings import BaseSettings
from openrealm.base.teacher import Lessons, likeness_loss
from openrealm.base.texts import SpanIndex, Texts
from openrealm.engine import Engine, num_cores
from openrealm.errors import BadConfig
from openrealm.model.encoder import load_backbone
from openrealm.model.heads import stored_heads, take_head, take_projection
from openrealm.model.weights import backbone_location
from openrealm.progress import say, track
from openrealm.train import checkpoint, metrics
from openrealm.train.guard import Guard
from openrealm.train.ict import inverse_cloze_loss
from openrealm.train.optimizer import adam, set_rate
from openrealm.train.ranks import Ranks

_LOG_STEPS = 10
_GIVE_BACK_STEPS = 50
_MAX_WORKERS = 12
# What a resume may change.
_FREE = ("name", "eval_steps", "num_heldout_queries", "checkpoint_steps")


def first_model(settings: BaseSettings, texts: Texts) -> Base:
    """A model of the shape of `settings`, with the weights of `settings.start` or with random ones.

    The bias of a head that was not trained before is the log frequency of each word piece. Raises BadConfig where the
    weights have another shape.
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
        _go_on_from(model, settings.start)
    return model


def _go_on_from(model: Base, start: str) -> None:
    """Take the weights of the encoder `start`, and of its head and projection where it has them."""
    stored: Any = load_backbone(start, dropout=0.0)
    try:
        model.encoder.backbone.load_state_dict(stored.state_dict())
    except RuntimeError as error:
        has = stored.config
        raise BadConfig(
            f"base.start: {start} has another shape; give --set num_layers={has.num_hidden_layers} --set hidden_size="
            f"{has.hidden_size} --set num_heads={has.num_attention_heads} --set inner_size={has.intermediate_size} "
            f"--set max_positions={has.max_position_embeddings}."
        ) from error
    heads = stored_heads(backbone_location(start))
    take_head(model.head, heads)
    take_projection(model.tower.projection, heads)


class BaseTrainer:
    """Trains a fresh model on `texts`; `folder` gets metrics.jsonl and checkpoints/.

    minutes  ends after so long instead of after `num_steps`, the learning rate falling with the time that is left;
             then a resume goes on with the same batches, but no two runs agree to the digit.
    """

    def __init__(
        self,
        settings: BaseSettings,
        texts: Texts,
        folder: Path,
        engine: Engine,
        ranks: Ranks | None = None,
        minutes: float | None = None,
        lessons: Lessons | None = None,
    ) -> None:
        self.settings, self.folder, self.engine, self.minutes = settings, folder, engine, minutes
        self.ranks, self.lessons = ranks or Ranks(), lessons
        self.model = first_model(settings, texts).to(engine.device)
        self._wrapped = self.ranks.wrapped(self.model, all_used=settings.ict_batch > 0 or lessons is not None)
        self.optimizer = adam([(self.model.parameters(), settings.learning_rate)], settings.weight_decay)
        self.guard = Guard(self.model.parameters(), settings.clip_norm, give_back_steps=_GIVE_BACK_STEPS)
        examples = BaseExamples(texts, SpanIndex(texts), settings)
        on_cpu = engine.device == "cpu"
        self.batches = Batches(examples, self.ranks.rank, self.ranks.num_ranks, lessons=lessons, on_cpu=on_cpu)
        self.heldout = Heldout(examples, self.batches, settings.num_heldout_queries) if self.ranks.is_first else None
        self.step, self.seconds, self.num_tokens = 0, 0.0, 0
        self.last: dict[str, Any] = {}
        self._num_metrics = 0

    def train(self, *, resume: bool = False) -> dict[str, Any]:
        """Run to the end; `resume` goes on from the last checkpoint. Returns the last measures on held-out text."""
        found = checkpoint.checkpoints(self.folder / "checkpoints") if resume else []
        if found:
            self._restore(found[-1])
        elif self.ranks.is_first:
            metrics.start_over(self.folder)
            checkpoint.remove_all(self.folder / "checkpoints")
        batches = self._stream()
        total = round(60 * self.minutes) if self.minutes else self.settings.num_steps
        recent: list[dict[str, float]] = []
        with track("base" + (" (seconds)" if self.minutes else ""), total) as advance:
            done = 0
            while (share := self._share_done()) < 1:
                recent.append(self._one_step(next(batches), share))
                if self.step % _LOG_STEPS == 0:
                    note, recent = self._log(recent), []
                    now = int(self.seconds) if self.minutes else self.step
                    advance(min(now, total) - done, note)
                    done = min(now, total)
                if self.step % self.settings.eval_steps == 0:
                    self._measure()
                if self.step % self.settings.checkpoint_steps == 0 and self.ranks.is_first:
                    self._checkpoint()
        self._measure()
        if self.ranks.is_first:
            self._checkpoint()
        return self.last

    def _share_done(self) -> float:
        if not self.minutes:
            return self.step / self.settings.num_steps
        return self.ranks.from_first(self.seconds / (60 * self.minutes), self.engine)

    def _stream(self) -> Iterator[Batch]:
        """Batches from the present step on; beside a CUDA device other processes prepare them."""
        num_workers = 0
        if self.engine.device != "cpu":
            num_workers = max(1, min(_MAX_WORKERS, num_cores() // self.ranks.num_ranks - 1))
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each tensor on its way holds a file open
        loader: DataLoader[Batch] = DataLoader(
            self.batches,
            batch_size=None,
            sampler=itertools.count(self.step),
            num_workers=num_workers,
            multiprocessing_context="fork" if num_workers else None,
        )
        return iter(loader)

    def _one_step(self, batch: Batch, share: float) -> dict[str, float]:
        started, settings = time.perf_counter(), self.settings
        set_rate(self.optimizer, min(1.0, (self.step + 1) / settings.warmup_steps) * (1 - share))
        device = torch.device(self.engine.device)
        parts = batch.masked, batch.queries, batch.passages, batch.lessons
        masked, queries, passages, lessons = ([chunk.to(device) for chunk in part] for part in parts)
        with self.engine.autocast():
            logit_MV, (query_BD, passage_BD, lesson_BD) = self._wrapped(masked, queries, passages, lessons)
        gold_M = torch.cat([chunk.gold_M for chunk in masked])
        loss = torch.nn.functional.cross_entropy(logit_MV, gold_M)
        row = {"mlm_loss": loss.detach()}
        if queries:
            ict_loss, accuracy = inverse_cloze_loss(query_BD / settings.temperature, passage_BD)
            loss = loss + settings.ict_weight * ict_loss
            row |= {"ict_loss": ict_loss.detach(), "ict_accuracy": accuracy}
        if lessons:
            taught_loss = likeness_loss(lesson_BD, batch.taught_BE.to(device), settings.temperature)
            loss = loss + settings.teacher_weight * taught_loss
            row["teacher_loss"] = taught_loss.detach()
        loss.backward()  # type: ignore[no-untyped-call]
        self.guard.step(self.optimizer, float(loss.detach()), self.step)
        self.step += 1
        seconds = time.perf_counter() - started
        self.seconds += seconds
        self.num_tokens += batch.num_tokens * self.ranks.num_ranks
        return {name: float(value) for name, value in row.items()} | {"seconds": seconds, "tokens": batch.num_tokens}

    def _log(self, recent: list[dict[str, float]]) -> str:
        """Write the means of the steps since the last time; returns what the progress line tells."""
        row = {name: sum(r[name] for r in recent) / len(recent) for name in recent[0]}
        row["tokens_per_second"] = row.pop("tokens") / row["seconds"] * self.ranks.num_ranks
        self._write("train", row | {"num_skipped": self.guard.num_skipped, "num_tokens": self.num_tokens})
        shown = [name for name in ("mlm_loss", "ict_loss", "teacher_loss") if name in row]
        return ", ".join(f"{name.replace('_', ' ')} {row[name]:.2f}" for name in shown)

    def _measure(self) -> None:
        if self.heldout is not None:
            self.last = metrics.plain(self.heldout.measure(self.model, self.engine))
            self._write("heldout", self.last)

    def _write(self, split: str, row: dict[str, Any]) -> None:
        if self.ranks.is_first:
            metrics.append(self.folder, self.step, {"split": split, **row, "elapsed_seconds": self.seconds})
            self._num_metrics += 1

    def _digest(self) -> str:
        values = {name: value for name, value in self.settings.to_dict().items() if name not in _FREE}
        lessons = self.lessons and self.lessons.digest
        return files.digest_of(
            {**values, "num_ranks": self.ranks.num_ranks, "minutes": self.minutes, "lessons": lessons}
        )

    def _checkpoint(self) -> None:
        state = {
            "config_digest": self._digest(),
            "seconds": self.seconds,
            "num_tokens": self.num_tokens,
            "num_metrics": self._num_metrics,
            "last": self.last,
            "num_skipped": self.guard.num_skipped,
            "num_skipped_in_a_row": self.guard.num_in_a_row,
        }
        checkpoint.save(self.folder / "checkpoints", self.step, self.model, self.optimizer, state)

    def _restore(self, path: Path) -> None:
        state = checkpoint.load(path, self.model, self.optimizer, self._digest())
        self.step, self.seconds, self.num_tokens = state["step"], state["seconds"], state["num_tokens"]
        self._num_metrics, self.last = state["num_metrics"], state["last"]
        self.guard.num_skipped, self.guard.num_in_a_row = state["num_skipped"], state["num_skipped_in_a_row"]
        if self.ranks.is_first:
            files.truncate_lines(self.folder / metrics.FILE, self._num_metrics)
            say(f"Resumed from {path} at step {self.step}.")
