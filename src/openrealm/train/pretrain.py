"""Joint pre-training of retriever and reader (Guu et al. 2020, Sec. 3): the loop, and what it writes down."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from openrealm import files
from openrealm.config import Config
from openrealm.corpus.store import Corpus
from openrealm.engine import Engine, num_cores
from openrealm.index.store import Binding, IndexVersion, newest, open_version
from openrealm.model import marginal
from openrealm.model.realm import Realm
from openrealm.progress import say, track
from openrealm.train import checkpoint
from openrealm.train.examples import MaskedExamples
from openrealm.train.guard import Guard
from openrealm.train.joint import Reading, encode_queries, find_candidates, joint_reading
from openrealm.train.layout import Layout
from openrealm.train.measure import of_reading, on_heldout
from openrealm.train.optimizer import adam, grad_norm, rate_factor, set_rate
from openrealm.train.refresh import Refresher, share_of_cores


@dataclass
class Outcome:
    """What a finished pre-training leaves for the report."""

    refresh_steps: list[int] = field(default_factory=list)
    num_skipped: int = 0
    first: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)


class Pretrainer:
    """Trains `model` on masked examples of `corpus`, candidates from the index below `index_folder`.

    folder        gets metrics.jsonl and checkpoints/
    corpus_folder where `corpus` lies, for the refresh worker
    """

    def __init__(self, config: Config, model: Realm, corpus: Corpus, corpus_folder: Path, index_folder: Path, folder: Path, engine: Engine) -> None:
        self.config, self.settings, self.model, self.engine, self.folder = config, config.pretrain, model, engine, folder
        self.layout = Layout(corpus, title_in_joint=config.model.title_in_joint)
        self.group_N = torch.tensor([corpus.group(i) for i in range(corpus.num_passages)])
        self.examples = MaskedExamples(corpus, config.masking, self.settings.max_query_tokens - 2, self.settings.num_heldout_queries, config.seed)
        tower_rate = 0.0 if self.settings.freeze_towers else self.settings.tower_learning_rate
        if self.settings.freeze_towers:
            model.retriever.requires_grad_(False)
        rate = self.settings.learning_rate
        head_rate = self.settings.head_learning_rate
        self.optimizer = adam(
            [
                (model.reader.encoder.parameters(), rate),
                (model.reader.head.parameters(), rate if head_rate is None else head_rate),
                (model.retriever.parameters(), rate if tower_rate is None else tower_rate),
            ],
            self.settings.weight_decay,
        )
        trained = [*model.reader.parameters(), *model.retriever.parameters()]
        self.guard = Guard(trained, self.settings.clip_norm)
        self.binding = Binding(model.retriever.passage_tower.digest(), corpus.tokenizer_digest, corpus.digest)
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
            (self.folder / "metrics.jsonl").unlink(missing_ok=True)
            self.index = open_version(newest(self.index_folder), self.binding)
            self._measure()
        try:
            with track("pretrain" if not self.settings.freeze_towers else "pretrain (frozen towers)", self.settings.num_steps) as advance:
                advance(self.step)
                while self.step < self.settings.num_steps:
                    row = self._one_step()
                    advance(1, f"loss {row['loss']:.2f}, utility {row['retrieval_utility']:.2f}, index {row['staleness_steps']} steps old")
                    if self.step % self.settings.eval_steps == 0 or self.step == self.settings.num_steps:
                        self._measure()
                    if self.step % self.settings.checkpoint_steps == 0:
                        self._checkpoint()
        finally:
            self.refresher.stop()
        self.outcome.num_skipped = self.guard.num_skipped
        return self.outcome

    def _one_step(self) -> dict[str, Any]:
        started = time.perf_counter()
        self._refresh()
        threads, _ = share_of_cores(self.refresher.is_running)
        torch.set_num_threads(min(threads, self.config.num_threads or num_cores()))
        self.model.train()
        set_rate(self.optimizer, rate_factor(self.step, self.settings.num_steps, self.settings.warmup_steps))
        examples = self.examples.batch(self.step, self.settings.batch_size)
        with self.engine.autocast():
            with torch.set_grad_enabled(not self.settings.freeze_towers):
                query_BD = encode_queries(self.model, self.layout, examples, self.settings.max_query_tokens)
            candidates = find_candidates(
                self.index.vector_ND,
                self.group_N,
                query_BD,
                examples,
                self.settings.num_candidates,
                use_null=self.settings.use_null,
                block_trivial=self.settings.block_trivial,
            )
            reading = joint_reading(self.model, self.layout, examples, query_BD, candidates, self.settings.max_joint_tokens)
        loss = self._loss(reading)
        loss.backward()  # type: ignore[no-untyped-call]
        row = of_reading(reading, per_token=self.settings.per_token_marginal) | {
            "query_tower_grad_norm": grad_norm(self.model.retriever.query_tower),
            "passage_tower_grad_norm": grad_norm(self.model.retriever.passage_tower),
        }
        self.guard.step(self.optimizer, float(loss.detach()), self.step)
        self.step += 1
        seconds = time.perf_counter() - started
        row |= {
            "staleness_steps": self.step - self.index.step,
            "index": self.index.name,
            "refreshing": int(self.refresher.is_running),
            "seconds": seconds,
            "tokens_per_second": reading.num_tokens / seconds,
        }
        self._write("train", row)
        return row

    def _loss(self, reading: Reading) -> Tensor:
        likelihood_B = marginal.marginal_log_likelihood(
            reading.score_BK,
            reading.gold_logp_BKJ,
            reading.mask_BJ,
            valid_BK=reading.valid_BK,
            per_token=self.settings.per_token_marginal,
        )
        return -likelihood_B.mean()

    def _refresh(self) -> None:
        """Switch to a finished index, warn of an old one, start the next refresh when it is due. Never waits."""
        fresh = self.refresher.collect()
        if fresh is not None:
            built_from, self.index = fresh.step, fresh
            self.outcome.refresh_steps.append(self.step)
            self._write("refresh", {"index": fresh.name, "staleness_steps": self.step - built_from})
        if self.settings.freeze_towers or self.refresher.is_running:
            return
        limit = self.settings.max_staleness_steps
        if limit is not None and self.step - self.index.step > limit and self.step % 20 == 0:
            say(f"The index is {self.step - self.index.step} steps old, more than max_staleness_steps={limit}; training goes on.")
        if self.step - self._last_refresh_step >= self.settings.refresh_steps:
            self._last_refresh_step = self.step
            self.refresher.start(self.model, self.step, share_of_cores(True)[1])

    def _measure(self) -> None:
        row, _ = on_heldout(
            self.model, self.layout, self.index.vector_ND, self.group_N, self.examples.heldout, self.settings, self.engine
        )
        self.outcome.last = row
        self.outcome.first = self.outcome.first or row
        self._write("heldout", row | {"staleness_steps": self.step - self.index.step})

    def _write(self, split: str, row: dict[str, Any]) -> None:
        tidy = {k: round(v, 5) if isinstance(v, float) else v for k, v in row.items() if not (isinstance(v, float) and math.isnan(v))}
        files.append_line(self.folder / "metrics.jsonl", json.dumps({"step": self.step, "split": split} | tidy))
        self._num_metrics += 1

    def _checkpoint(self) -> None:
        state = {
            "config_digest": self.config.digest(),
            "index": self.index.name,
            "num_metrics": self._num_metrics,
            "last_refresh_step": self._last_refresh_step,
            "refresh_steps": self.outcome.refresh_steps,
            "first": self.outcome.first,
            "last": self.outcome.last,
            "num_skipped": self.guard.num_skipped,
        }
        checkpoint.save(self.folder / "checkpoints", self.step, self.model, self.optimizer, state)

    def _restore(self, path: Path) -> None:
        state = checkpoint.load(path, self.model, self.optimizer, self.config.digest())
        self.step = state["step"]
        self.index = open_version(self.index_folder / "versions" / state["index"])
        self._num_metrics = state["num_metrics"]
        files.truncate_lines(self.folder / "metrics.jsonl", self._num_metrics)
        self._last_refresh_step = min(state["last_refresh_step"], self.index.step)
        self.outcome = Outcome(state["refresh_steps"], state["num_skipped"], state["first"], state["last"])
        self.guard.num_skipped = state["num_skipped"]
        say(f"Resumed from {path} at step {self.step}.")
