"""Joint pre-training of retriever and reader (Guu et al. 2020, Sec. 3): the loop, and what it writes down."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from openrealm import files
from openrealm.config import Config, PretrainConfig
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine, num_cores
from openrealm.errors import NonFinite
from openrealm.index.store import Binding, IndexVersion, open_version, version_name
from openrealm.model.losses import joint_loss
from openrealm.model.marginal import query_weights
from openrealm.model.realm import Realm
from openrealm.progress import say, track
from openrealm.train import checkpoint, metrics
from openrealm.train.examples import Example, Queries, pretraining_examples
from openrealm.train.guard import Guard
from openrealm.train.ict import InverseCloze
from openrealm.train.joint import Reading, attend, encode_queries, find_candidates, joint_reading, sample_tail
from openrealm.train.layout import Layout
from openrealm.train.measure import Row, of_readings, on_heldout
from openrealm.train.optimizer import adam, grad_norm, rate_factor, set_rate
from openrealm.train.refresh import Refresher, share_of_cores


@dataclass
class Outcome:
    """What a finished pre-training leaves for the report."""

    refresh_steps: list[int] = field(default_factory=list)
    num_skipped: int = 0
    first: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)


def _optimizer(model: Realm, settings: PretrainConfig) -> torch.optim.AdamW:
    rate = settings.learning_rate
    head_rate, tower_rate = settings.head_learning_rate, settings.tower_learning_rate
    return adam(
        [
            (model.reader.encoder.parameters(), rate),
            (model.reader.head.parameters(), rate if head_rate is None else head_rate),
            (model.retriever.parameters(), rate if tower_rate is None else tower_rate),
        ],
        settings.weight_decay,
    )


def _note(row: Row) -> str:
    """What the progress line tells of a step."""
    loss = f"loss {row['loss']:.2f}" if "loss" in row else "step skipped"
    utility = f", utility {row['retrieval_utility']:.2f}" if "retrieval_utility" in row else ""
    return f"{loss}{utility}, index {row['staleness_steps']} steps old"


class Pretrainer:
    """Trains `model` on masked examples of `corpus`, candidates from the index below `index_folder`.

    folder        gets metrics.jsonl and checkpoints/
    corpus_folder where `corpus` lies, for the refresh worker
    queries       where examples come from, if not from `corpus`
    """

    def __init__(
        self,
        config: Config,
        model: Realm,
        corpus: Corpus,
        corpus_folder: Path,
        index_folder: Path,
        folder: Path,
        engine: Engine,
        queries: Queries | None = None,
    ) -> None:
        self.config, self.settings = config, config.pretrain
        self.model, self.engine, self.folder = model, engine, folder
        self.layout = Layout(corpus, title_in_joint=config.model.title_in_joint)
        self.group_N = torch.from_numpy(corpus.groups.astype("int64"))
        self.examples = pretraining_examples(config, corpus, queries)
        self.ict = InverseCloze(config, corpus, self.layout)
        self.ict_start = config.warm_start.num_steps  # so that the walk goes on where the warm start left it
        if self.settings.freeze_towers:
            model.retriever.requires_grad_(False)
        self.optimizer = _optimizer(model, self.settings)
        trained = [*model.reader.parameters(), *model.retriever.parameters()]
        self.guard = Guard(trained, self.settings.clip_norm)
        self.binding = Binding(model.retriever.passage_tower.digest(), model.tokenizer.digest, corpus.digest)
        self.index_folder = index_folder
        self.refresher = Refresher(folder, corpus_folder, index_folder, self.binding, engine)
        self.index: IndexVersion
        self.outcome = Outcome()
        self.step = 0
        self._last_refresh_step = 0
        self._num_metrics = 0

    def train(self, *, resume: bool = False) -> Outcome:
        """Run to the configured number of steps; `resume` goes on from the last checkpoint."""
        torch.manual_seed(self.config.seed)
        found = checkpoint.checkpoints(self.folder / "checkpoints") if resume else []
        if found:
            self._restore(found[-1])
        else:
            metrics.start_over(self.folder)
            checkpoint.remove_all(self.folder / "checkpoints")
            self.index = open_version(
                self.index_folder / "versions" / version_name(0, self.binding.encoder), self.binding
            )
            self._measure()
        what = "pretrain (frozen towers)" if self.settings.freeze_towers else "pretrain"
        try:
            with track(what, self.settings.num_steps) as advance:
                advance(self.step)
                while self.step < self.settings.num_steps:
                    advance(1, _note(self._one_step()))
                    if self.step % self.settings.eval_steps == 0 or self.step == self.settings.num_steps:
                        self._measure()
                    if self.step % self.settings.checkpoint_steps == 0:
                        self._checkpoint()
        finally:
            self.refresher.stop()
        self.outcome.num_skipped = self.guard.num_skipped
        return self.outcome

    def _one_step(self) -> Row:
        """Refresh, read, learn, write down. Raises NonFinite at the third step in a row that was not finite."""
        started = time.perf_counter()
        self._refresh()
        threads, _ = share_of_cores(self.refresher.is_running)
        torch.set_num_threads(min(threads, self.config.num_threads or num_cores()))
        self.model.train()
        set_rate(self.optimizer, rate_factor(self.step, self.settings.num_steps, self.settings.warmup_steps))
        row, num_tokens = self._learn(self.examples.batch(self.step, self.settings.batch_size))
        self.step += 1
        seconds = time.perf_counter() - started
        row |= {
            "num_skipped": self.guard.num_skipped,
            "staleness_steps": self.step - self.index.step,
            "index": self.index.name,
            "refreshing": int(self.refresher.is_running),
            "seconds": seconds,
            "tokens_per_second": num_tokens / seconds,
        }
        self._write("train", row)
        return row

    def _read(self, examples: Sequence[Example], first: int) -> Reading:
        """Candidates by the index as it is, scores and readings by the live model; `first`: where in the batch."""
        settings = self.settings
        with self.engine.autocast():
            with torch.set_grad_enabled(not settings.freeze_towers):
                query_BD = encode_queries(self.model, self.layout, examples, settings.max_query_tokens)
            candidates = find_candidates(
                self.index.vector_ND,
                self.group_N,
                query_BD,
                examples,
                settings.num_candidates - settings.num_tail_candidates,
                use_null=settings.use_null,
                block_trivial=settings.block_trivial,
            )
            log_weights = None
            if settings.num_tail_candidates:
                candidates, log_weights = sample_tail(
                    self.index.vector_ND,
                    self.group_N,
                    query_BD,
                    examples,
                    candidates,
                    settings.num_tail_candidates,
                    block_trivial=settings.block_trivial,
                    seed=self.config.seed,
                    step=self.step * settings.batch_size + first,
                )
            reading = joint_reading(
                self.model, self.layout, examples, query_BD, candidates, settings.max_joint_tokens, log_weights
            )
            if settings.loss != "adist":
                return reading
            attention_BK = attend(self.model, self.layout, examples, candidates, settings.max_joint_tokens)
            return replace(reading, attention_BK=attention_BK)

    def _learn(self, batch: Sequence[Example]) -> tuple[Row, int]:
        """One optimiser step, or none where scores or readings are not finite.

        Returns what was measured on the way, and the number of word pieces read.
        """
        size, total = self.settings.micro_batch_size or len(batch), 0.0
        readings: list[Reading] = []
        num_masks_B = torch.tensor([len(example.positions) for example in batch], device=self.engine.device)
        weight_B = query_weights(num_masks_B, by_masks=self.settings.mean_over_masks)
        try:
            for first in range(0, len(batch), size):
                part = batch[first : first + size]
                readings.append(self._read(part, first))
                loss = (self._loss(readings[-1]) * weight_B[first : first + size]).sum()
                loss.backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
        except NonFinite:
            self.guard.skip(self.optimizer, self.step)
            return {}, 0
        settings = self.settings
        row = of_readings(readings, per_token=settings.per_token_marginal, has_null=settings.use_null) | {
            "query_tower_grad_norm": grad_norm(self.model.retriever.query_tower),
            "passage_tower_grad_norm": grad_norm(self.model.retriever.passage_tower),
        }
        if self.settings.loss != "marginal":
            row["objective"] = total  # beside `loss`, which is the marginal's whatever is trained
        if self.settings.ict_batch and not self.settings.freeze_towers:
            # After the norms are taken, so that those tell of the joint loss alone.
            row |= self.ict.backward(self.model, self.engine, self.ict_start + self.step, self.settings.ict_batch)
            total += float(row["ict_loss"])
        self.guard.step(self.optimizer, total, self.step)
        return row, sum(reading.num_tokens for reading in readings)

    def _loss(self, reading: Reading) -> Tensor:
        return joint_loss(
            self.settings.loss,
            reading.score_BK,
            reading.gold_logp_BKJ,
            reading.mask_BJ,
            valid_BK=reading.valid_BK,
            per_token=self.settings.per_token_marginal,
            attention_BK=reading.attention_BK,
        )

    def _refresh(self) -> None:
        """Switch to a finished index, warn of an old one, start the next refresh when it is due. Never waits."""
        fresh = self.refresher.collect()
        if fresh is not None:
            built_from, self.index = fresh.step, fresh
            self.outcome.refresh_steps.append(self.step)
            self._write("refresh", {"index": fresh.name, "staleness_steps": self.step - built_from})
        if self.settings.freeze_towers:
            return
        self._warn_if_stale()
        is_due = self.step - self._last_refresh_step >= self.settings.refresh_steps
        if is_due and not self.refresher.is_running:
            self._last_refresh_step = self.step
            self.refresher.start(self.model, self.step, share_of_cores(True)[1])

    def _warn_if_stale(self) -> None:
        """One line when the index becomes older than allowed, and again every 20 steps (a worker may hang for ever)."""
        limit, age = self.settings.max_staleness_steps, self.step - self.index.step
        if limit is not None and age > limit and (age - limit - 1) % 20 == 0:
            say(f"The index is {age} steps old, more than max_staleness_steps={limit}; training goes on.")

    def _measure(self) -> None:
        row, _ = on_heldout(
            self.model,
            self.layout,
            self.index.vector_ND,
            self.group_N,
            self.examples.heldout,
            self.settings,
            self.engine,
        )
        self.outcome.last = metrics.plain(row)
        self.outcome.first = self.outcome.first or self.outcome.last
        self._write("heldout", row | {"staleness_steps": self.step - self.index.step})

    def _write(self, split: str, row: Row) -> None:
        metrics.append(self.folder, self.step, {"split": split, **row})
        self._num_metrics += 1

    def _checkpoint(self) -> None:
        state = {
            "config_digest": checkpoint.training_digest(self.config),
            "index": self.index.name,
            "index_binding": asdict(self.index.binding),
            "num_metrics": self._num_metrics,
            "last_refresh_step": self._last_refresh_step,
            "refresh_steps": self.outcome.refresh_steps,
            "first": self.outcome.first,
            "last": self.outcome.last,
            "num_skipped": self.guard.num_skipped,
            "num_skipped_in_a_row": self.guard.num_in_a_row,
        }
        checkpoint.save(self.folder / "checkpoints", self.step, self.model, self.optimizer, state)

    def _restore(self, path: Path) -> None:
        state = checkpoint.load(path, self.model, self.optimizer, checkpoint.training_digest(self.config))
        self.step = state["step"]
        bound = replace(self.binding, encoder=state["index_binding"]["encoder"])
        self.index = open_version(self.index_folder / "versions" / state["index"], bound)
        self._num_metrics = state["num_metrics"]
        files.truncate_lines(self.folder / metrics.FILE, self._num_metrics)
        self._last_refresh_step = min(state["last_refresh_step"], self.index.step)
        self.outcome = Outcome(state["refresh_steps"], state["num_skipped"], state["first"], state["last"])
        self.guard.num_skipped, self.guard.num_in_a_row = state["num_skipped"], state["num_skipped_in_a_row"]
        say(f"Resumed from {path} at step {self.step}.")
