"""Joint pre-training on the toy world with real refreshes, and what it does when things go wrong."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.errors import Mismatch, MissingStage, NonFinite
from openrealm.index.store import open_version, versions
from openrealm.model.retriever import Tower
from openrealm.train.embedder import embed_corpus
from openrealm.train.examples import Example
from openrealm.train.joint import Reading
from openrealm.train.layout import NULL, Layout
from openrealm.train.pretrain import Pretrainer

MakeTrainer = Callable[..., Pretrainer]


def rows_of(trainer: Pretrainer, split: str = "train") -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (trainer.folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["split"] == split]


class Patient(Pretrainer):
    """Waits for its worker two steps after starting it, so that the test knows when the index changes."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.towers: dict[int, Tower] = {}
        self.readings: list[Reading] = []

    def _refresh(self) -> None:
        if self.refresher._worker is not None and self.step - self._last_refresh_step == 2:
            self.refresher._worker.wait(timeout=240)
        started_before = self._last_refresh_step
        super()._refresh()
        if self._last_refresh_step != started_before:
            self.towers[self.step] = copy.deepcopy(self.model.retriever.passage_tower)

    def _read(self, examples: list[Example], first: int) -> Reading:  # type: ignore[override]
        reading = super()._read(examples, first)
        self.readings.append(reading)
        return reading


def test_training_goes_on_while_indexes_are_refreshed_and_every_version_holds_its_towers_vectors(
    tmp_path: Path, make_trainer: MakeTrainer, layout: Layout, toy_corpus: Corpus, engine: Engine
) -> None:
    settings = ["pretrain.num_steps=9", "pretrain.refresh_steps=3", "pretrain.eval_steps=4", "model.pooling=mean"]
    trainer = make_trainer(tmp_path, *settings, kind=Patient)
    assert isinstance(trainer, Patient)
    outcome = trainer.train()
    assert outcome.refresh_steps == [5, 8]
    rows = rows_of(trainer)
    assert [row["step"] for row in rows] == list(range(1, 10))
    assert all(row["query_tower_grad_norm"] > 0 and row["passage_tower_grad_norm"] > 0 for row in rows)
    assert [row["refreshing"] for row in rows] == [0, 0, 0, 1, 1, 0, 1, 1, 0]
    assert [row["staleness_steps"] for row in rows] == [1, 2, 3, 4, 5, 3, 4, 5, 3]
    for reading in trainer.readings:
        assert all(row[0] == NULL and NULL not in row[1:] for row in reading.candidates)
        assert all(len(row) == 4 for row in reading.candidates)
    # Spec Sec. 6.7: a refresh that refreshed nothing would show here.
    for path in versions(tmp_path / "index")[1:]:
        version = open_version(path)
        tower = trainer.towers[version.step]
        assert version.binding.encoder == tower.digest()
        torch.testing.assert_close(version.vector_ND, embed_corpus(tower, layout, engine), rtol=1e-5, atol=1e-6)
        assert version.vector_ND.shape[0] == toy_corpus.num_passages
    assert trainer.index.step == 6
    assert [row["step"] for row in rows_of(trainer, "heldout")] == [0, 4, 8, 9]
    assert not trainer.refresher.is_running
    assert not (trainer.folder / "snapshot").exists()


def hang(trainer: Pretrainer) -> subprocess.Popen[bytes]:
    """A worker that never ends, where the trainer keeps its own."""
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    trainer.refresher._worker, trainer.refresher._target = worker, trainer.folder / "never"
    return worker


def test_a_worker_that_hangs_costs_a_warning_and_no_time(
    tmp_path: Path, make_trainer: MakeTrainer, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = make_trainer(
        tmp_path, "pretrain.num_steps=5", "pretrain.refresh_steps=1", "pretrain.max_staleness_steps=2"
    )
    worker = hang(trainer)
    started = time.monotonic()
    trainer.train()
    assert time.monotonic() - started < 200
    told = [line for line in capsys.readouterr().err.splitlines() if "steps old, more than" in line]
    assert told == ["The index is 3 steps old, more than max_staleness_steps=2; training goes on."]
    assert [row["staleness_steps"] for row in rows_of(trainer)] == [1, 2, 3, 4, 5]
    assert worker.poll() is not None, "the hanging worker is ended with the run"


def test_a_worker_that_dies_every_time_never_stops_the_run(
    tmp_path: Path, make_trainer: MakeTrainer, capsys: pytest.CaptureFixture[str]
) -> None:
    class Dying(Pretrainer):
        def _refresh(self) -> None:
            if self.refresher._worker is not None:
                self.refresher._worker.kill()
                self.refresher._worker.wait()
            super()._refresh()

    trainer = make_trainer(tmp_path, "pretrain.num_steps=6", "pretrain.refresh_steps=1", kind=Dying)
    outcome = trainer.train()
    assert outcome.refresh_steps == []
    assert trainer.refresher.num_failed == 4
    assert capsys.readouterr().err.count("The refresh worker ended with code -9") == 4
    assert len(versions(tmp_path / "index")) == 1
    assert trainer.step == 6


def test_an_interruption_stops_the_worker_and_passes_on(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    class Interrupted(Pretrainer):
        def _read(self, examples: list[Example], first: int) -> Reading:  # type: ignore[override]
            if self.step == 2:
                raise KeyboardInterrupt
            return super()._read(examples, first)

    trainer = make_trainer(tmp_path, "pretrain.num_steps=5", kind=Interrupted)
    worker = hang(trainer)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert worker.poll() is not None
    assert not trainer.refresher.is_running
    assert len(rows_of(trainer)) == 2


def poisoned(bad_steps: set[int]) -> type[Pretrainer]:
    """A pre-trainer whose readings are not finite at some steps."""

    class Poisoned(Pretrainer):
        def _read(self, examples: list[Example], first: int) -> Reading:  # type: ignore[override]
            reading = super()._read(examples, first)
            if self.step in bad_steps:
                reading.gold_logp_BKJ.data[0, 0, 0] = math.nan
            return reading

    return Poisoned


def test_readings_that_are_not_finite_cost_their_step_and_are_counted(
    tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(tmp_path, "pretrain.num_steps=5", kind=poisoned({1, 2, 4}))
    outcome = trainer.train()
    assert outcome.num_skipped == 3
    rows = rows_of(trainer)
    assert [row["num_skipped"] for row in rows] == [0, 1, 2, 2, 3]
    assert ["loss" in row for row in rows] == [True, False, False, True, False]
    assert all(bool(tensor.isfinite().all()) for tensor in trainer.model.state_dict().values())


def test_the_third_in_a_row_stops_the_run(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(tmp_path, "pretrain.num_steps=9", kind=poisoned({1, 2, 3}))
    with pytest.raises(NonFinite, match="not finite at step 3 and the two before it"):
        trainer.train()


def test_frozen_towers_stay_and_the_index_with_them(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    settings = ["pretrain.freeze_towers=true", "pretrain.refresh_steps=1", "pretrain.max_staleness_steps=1"]
    trainer = make_trainer(tmp_path, *settings)
    digests = [tower.digest() for tower in (trainer.model.retriever.query_tower, trainer.model.retriever.passage_tower)]
    head = trainer.model.reader.head.dense.weight.clone()
    outcome = trainer.train()
    assert [
        tower.digest() for tower in (trainer.model.retriever.query_tower, trainer.model.retriever.passage_tower)
    ] == digests
    assert outcome.refresh_steps == []
    assert not torch.equal(trainer.model.reader.head.dense.weight, head)
    assert {row["query_tower_grad_norm"] for row in rows_of(trainer)} == {0.0}


@pytest.mark.parametrize("change", ["use_null=false", "block_trivial=false", "per_token_marginal=true", "ict_batch=4"])
def test_every_switch_of_the_ablation_trains(tmp_path: Path, make_trainer: MakeTrainer, change: str) -> None:
    trainer = make_trainer(tmp_path, f"pretrain.{change}", "pretrain.num_steps=2")
    trainer.train()
    for row in rows_of(trainer):
        assert row["query_tower_grad_norm"] > 0
        assert ("null_mass" in row) == (change != "use_null=false")
        assert ("ict_loss" in row) == (change == "ict_batch=4")


@pytest.mark.parametrize("strategy", ["uniform", "span"])
def test_every_way_of_masking_trains(tmp_path: Path, make_trainer: MakeTrainer, strategy: str) -> None:
    settings = [f"masking.strategy={strategy}", "masking.title_in_query=true", "model.title_in_joint=true"]
    trainer = make_trainer(tmp_path, *settings, "pretrain.num_steps=2")
    assert math.isfinite(trainer.train().last["loss"])


def test_an_index_of_other_towers_or_another_corpus_is_not_trained_on(
    tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    make_trainer(tmp_path)
    with pytest.raises(MissingStage, match="run the stage that writes it first"):
        make_trainer(tmp_path, seed=1).train()
    trainer = make_trainer(tmp_path)
    trainer.binding = replace(trainer.binding, corpus="f" * 64)
    with pytest.raises(Mismatch, match=r"another corpus: its digest is .*, the one in use is ffff"):
        trainer.train()


def test_a_batch_seen_again_and_again_is_learnt(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    class OneBatch(Pretrainer):
        def _read(self, examples: list[Example], first: int) -> Reading:  # type: ignore[override]
            return super()._read(self.examples.batch(0, 4), first)

    settings = ["pretrain.num_steps=40", "pretrain.learning_rate=3e-3", "model.dropout=0"]
    trainer = make_trainer(tmp_path, *settings, kind=OneBatch)
    trainer.train()
    losses = [row["loss"] for row in rows_of(trainer)]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("by_masks", ["false", "true"])
def test_gradients_of_micro_batches_add_up_to_that_of_the_batch(
    tmp_path: Path, make_trainer: MakeTrainer, by_masks: str
) -> None:
    settings = ("model.dropout=0", "pretrain.batch_size=5", "pretrain.num_steps=3", "pretrain.refresh_steps=99")
    made = []
    for size in ("none", 2):
        more = (f"pretrain.mean_over_masks={by_masks}", f"pretrain.micro_batch_size={size}")
        trainer = make_trainer(tmp_path / str(size), *settings, *more)
        trainer.train()
        rows = [
            {k: v for k, v in row.items() if isinstance(v, float) and "second" not in k} for row in rows_of(trainer)
        ]
        made.append((rows, dict(trainer.model.state_dict())))
    torch.testing.assert_close(made[1], made[0], rtol=1e-3, atol=1e-4)
    assert len(made[0][0]) == 3
    assert "retrieval_utility" in made[0][0][0]
