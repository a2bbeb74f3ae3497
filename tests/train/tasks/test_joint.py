"""Joint pre-training on the toy corpus with real refreshes, and how it handles failures."""

from __future__ import annotations

import copy
import functools
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from openrealm.callbacks import Callback
from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.errors import BadConfig, Mismatch, NonFinite, ShapeMismatch
from openrealm.index.index import Index, versions
from openrealm.model.embedder import embed_corpus
from openrealm.model.reading import Reading
from openrealm.model.realm import Realm
from openrealm.model.retriever import Tower
from openrealm.train.examples import Example, contains
from openrealm.train.tasks.joint import Joint, JointBatch
from openrealm.train.trainer import Trainer
from openrealm.types import NULL

MakeTrainer = Callable[..., Trainer]
MetricRows = Callable[..., list[dict[str, Any]]]


def joint_of(trainer: Trainer) -> Joint:
    assert isinstance(trainer.task, Joint)
    return trainer.task


class WaitsForWorkers(Callback):
    """Waits for each refresh worker two steps after its start, so that the index changes at known steps."""

    def __init__(self) -> None:
        self.towers: dict[int, Tower] = {}
        self._started = 0

    def on_step_begin(self, trainer: Trainer) -> None:
        refresher = joint_of(trainer).refresher
        if refresher.is_running and trainer.step - self._started == 2:
            refresher.wait(timeout=240)

    def on_step_end(self, trainer: Trainer, row: Any) -> None:
        refresher = joint_of(trainer).refresher
        step = refresher.state()["last_refresh_step"]
        self._started = step if refresher.is_running else self._started


class KeepsTowers(Joint):
    """Keeps a copy of the passage tower whenever a refresh is started."""

    towers: dict[int, Tower]

    def on_step_begin(self, step: int) -> None:
        self.towers = getattr(self, "towers", {})
        before = self.refresher.state()["last_refresh_step"]
        tower = copy.deepcopy(self.trainer.model.retriever.passage_tower)
        super().on_step_begin(step)
        if self.refresher.state()["last_refresh_step"] != before:
            self.towers[step] = tower


def recording(readings: list[Reading]) -> Callable[[Reading], Tensor]:
    """The paper's loss, which appends every reading to `readings`."""

    def loss(reading: Reading) -> Tensor:
        readings.append(reading)
        return reading.marginal_loss()

    return loss


def test_training_continues_while_the_index_is_refreshed_and_every_version_has_the_vectors_of_its_tower(
    tmp_path: Path, make_trainer: MakeTrainer, metric_rows: MetricRows, toy_corpus: Corpus, engine: Engine
) -> None:
    settings = ["pretrain.num_steps=9", "pretrain.refresh_steps=3", "pretrain.eval_steps=4", "model.pooling=mean"]
    readings: list[Reading] = []
    trainer = make_trainer(
        tmp_path, *settings, kind=KeepsTowers, loss=recording(readings), callbacks=[WaitsForWorkers()]
    )
    task = joint_of(trainer)
    assert isinstance(task, KeepsTowers)
    outcome = trainer.train()
    assert outcome.task["refresh_steps"] == [5, 8]
    rows = metric_rows(trainer, "train")
    assert [row["step"] for row in rows] == list(range(1, 10))
    assert all(row["query_tower_grad_norm"] > 0 and row["passage_tower_grad_norm"] > 0 for row in rows)
    assert [row["refreshing"] for row in rows] == [0, 0, 0, 1, 1, 0, 1, 1, 0]
    assert [row["staleness_steps"] for row in rows] == [1, 2, 3, 4, 5, 3, 4, 5, 3]
    assert len(readings) == 9
    for reading in readings:
        assert all(row[0] == NULL and NULL not in row[1:] for row in reading.candidates)
        assert all(len(row) == 4 for row in reading.candidates)
    # This would detect a refresh with outdated weights. The version of step 3 went when it was no longer used.
    first, *others = versions(tmp_path / "index")
    assert [path.name[:8] for path in (first, *others)] == ["00000000", "00000006"]
    for path in others:
        version = Index.open(path)
        tower = task.towers[version.step]
        assert version.binding.encoder == tower.digest()
        torch.testing.assert_close(version.vector_ND, embed_corpus(tower, toy_corpus, engine), rtol=1e-5, atol=1e-6)
        assert len(version) == toy_corpus.num_passages
    assert task.index.step == 6
    assert [row["step"] for row in metric_rows(trainer, "heldout")] == [0, 4, 8, 9]
    assert [(row["step"], row["staleness_steps"]) for row in metric_rows(trainer, "refresh")] == [(5, 2), (8, 2)]
    assert not task.refresher.is_running
    assert not (trainer.folder / "snapshot").exists()


def test_by_default_the_index_is_published_in_the_trainers_folder(
    tmp_path: Path,
    toy_config: Callable[..., Config],
    toy_realm: Callable[..., Realm],
    toy_corpus: Corpus,
    engine: Engine,
) -> None:
    model = toy_realm()
    first = Index.build(model, toy_corpus, engine=engine)
    task = Joint(toy_corpus, first, config=toy_config(), num_candidates=3)
    assert task.index is first
    Trainer(model, task, tmp_path, engine=engine, num_steps=3).train()
    assert task.index.step == 3
    task.index.check(model, toy_corpus)
    assert [path.name for path in versions(tmp_path / "index")] == [first.name]


def test_an_old_version_of_another_corpus_in_the_folder_is_replaced(
    tmp_path: Path,
    toy_config: Callable[..., Config],
    toy_realm: Callable[..., Realm],
    toy_corpus: Corpus,
    engine: Engine,
) -> None:
    model = toy_realm()
    index = Index.build(model, toy_corpus, engine=engine)
    Index(index.vector_ND, replace(index.binding, corpus="f" * 64)).save(tmp_path / "index")
    task = Joint(toy_corpus, index, config=toy_config())
    Trainer(model, task, tmp_path, engine=engine, num_steps=1, checkpoint_steps=1).train()
    assert Index.open(tmp_path / "index", toy_corpus).binding == index.binding
    resumed = Joint(toy_corpus, index, config=toy_config())
    assert Trainer(toy_realm(), resumed, tmp_path, engine=engine, num_steps=1).train(resume=True).num_steps == 1


def hang(trainer: Trainer) -> subprocess.Popen[bytes]:
    """Give the refresher a worker that never ends."""
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    joint_of(trainer).refresher.watch(worker, trainer.folder / "never")
    return worker


def test_a_worker_that_hangs_causes_a_warning_and_no_delay(
    tmp_path: Path, make_trainer: MakeTrainer, metric_rows: MetricRows, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = make_trainer(
        tmp_path, "pretrain.num_steps=5", "pretrain.refresh_steps=1", "pretrain.max_staleness_steps=2"
    )
    worker = hang(trainer)
    trainer.train()
    warnings = [line for line in capsys.readouterr().err.splitlines() if "steps old, more than" in line]
    assert warnings == ["The index is 3 steps old, more than max_staleness_steps=2; training continues."]
    assert [row["staleness_steps"] for row in metric_rows(trainer, "train")] == [1, 2, 3, 4, 5]
    assert worker.poll() is not None, "the worker is killed at the end of training"


class KillsWorkers(Callback):
    def on_step_begin(self, trainer: Trainer) -> None:
        worker = joint_of(trainer).refresher.worker
        if worker is not None:
            worker.kill()
            worker.wait()


def test_a_worker_that_dies_every_time_never_stops_the_run(
    tmp_path: Path, make_trainer: MakeTrainer, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = make_trainer(tmp_path, "pretrain.num_steps=6", "pretrain.refresh_steps=1", callbacks=[KillsWorkers()])
    outcome = trainer.train()
    assert outcome.task["refresh_steps"] == []
    assert outcome.task["num_failed_refreshes"] > 0
    assert joint_of(trainer).refresher.num_failed == 4
    assert capsys.readouterr().err.count("The refresh worker exited with code -9") == 4
    assert len(versions(tmp_path / "index")) == 1
    assert trainer.step == 6


def test_an_interruption_stops_the_worker_and_propagates(
    tmp_path: Path, make_trainer: MakeTrainer, metric_rows: MetricRows, stop_at: Callable[..., Callback]
) -> None:
    trainer = make_trainer(tmp_path, "pretrain.num_steps=5", callbacks=[stop_at(2, KeyboardInterrupt)])
    worker = hang(trainer)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert worker.poll() is not None
    assert not joint_of(trainer).refresher.is_running
    assert len(metric_rows(trainer, "train")) == 2


def poisoned(bad_calls: set[int]) -> Callable[[Reading], Tensor]:
    """The paper's loss, of readings that are not finite at the given calls."""
    calls = iter(range(10**6))

    def loss(reading: Reading) -> Tensor:
        if next(calls) in bad_calls:
            reading.gold_logp_BKJ.data[0, 0, 0] = math.nan
        return reading.marginal_loss()

    return loss


def test_steps_with_non_finite_readings_are_skipped_and_counted(
    tmp_path: Path, make_trainer: MakeTrainer, metric_rows: MetricRows
) -> None:
    trainer = make_trainer(tmp_path, "pretrain.num_steps=5", loss=poisoned({1, 2, 4}))
    outcome = trainer.train()
    assert outcome.num_skipped == 3
    rows = metric_rows(trainer, "train")
    assert [row["num_skipped"] for row in rows] == [0, 1, 2, 2, 3]
    assert ["loss" in row for row in rows] == [True, False, False, True, False]
    assert all(bool(tensor.isfinite().all()) for tensor in trainer.model.state_dict().values())


def test_a_step_with_a_non_finite_loss_is_skipped_too(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(tmp_path, "pretrain.num_steps=2", loss=lambda reading: reading.marginal_loss() * math.nan)
    assert trainer.train().num_skipped == 2
    assert all(bool(tensor.isfinite().all()) for tensor in trainer.model.state_dict().values())


def test_the_third_skipped_step_in_a_row_stops_training(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(tmp_path, "pretrain.num_steps=9", loss=poisoned({1, 2, 3}))
    with pytest.raises(NonFinite, match="not finite at step 3 and the two before it"):
        trainer.train()


def test_a_loss_of_the_wrong_shape_is_refused(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(tmp_path, loss=lambda reading: reading.marginal_loss().mean())
    with pytest.raises(ShapeMismatch, match=r"shape \(\) for 4 queries; expected one value per query, shape \(4,\)"):
        trainer.train()


def test_a_partial_function_is_a_loss_and_the_number_of_threads_is_restored(
    tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    def scaled(reading: Reading, factor: float) -> Tensor:
        torch.set_num_threads(2)
        return factor * reading.marginal_loss()

    trainer = make_trainer(tmp_path, "pretrain.num_steps=1", "num_threads=1", loss=functools.partial(scaled, factor=2))
    assert joint_of(trainer).loss_name == "functools.partial"
    assert trainer.train().num_steps == 1
    assert torch.get_num_threads() == 1


def test_an_unknown_loss_or_setting_is_refused(tmp_path: Path, make_trainer: MakeTrainer, toy_corpus: Corpus) -> None:
    with pytest.raises(BadConfig, match=r"no loss 'marginel'.*did you mean marginal"):
        make_trainer(tmp_path, loss="marginel")
    index = joint_of(make_trainer(tmp_path)).index
    with pytest.raises(BadConfig, match="num_candidate"):
        Joint(toy_corpus, index, num_candidate=3)


def test_frozen_towers_and_their_index_do_not_change(
    tmp_path: Path, make_trainer: MakeTrainer, metric_rows: MetricRows
) -> None:
    settings = ["pretrain.freeze_towers=true", "pretrain.refresh_steps=1", "pretrain.max_staleness_steps=1"]
    trainer = make_trainer(tmp_path, *settings)
    retriever = trainer.model.retriever
    digests = [tower.digest() for tower in (retriever.query_tower, retriever.passage_tower)]
    head = trainer.model.reader.head.dense.weight.clone()
    outcome = trainer.train()
    assert [tower.digest() for tower in (retriever.query_tower, retriever.passage_tower)] == digests
    assert outcome.task["refresh_steps"] == []
    assert not torch.equal(trainer.model.reader.head.dense.weight, head)
    assert {row["query_tower_grad_norm"] for row in metric_rows(trainer, "train")} == {0.0}


@pytest.mark.parametrize(
    "change",
    ["use_null=false", "block_trivial=false", "per_token_marginal=true", "ict_batch=4", "recurring_batch=4"],
)
def test_training_works_with_every_ablation(
    tmp_path: Path, make_trainer: MakeTrainer, metric_rows: MetricRows, change: str
) -> None:
    trainer = make_trainer(tmp_path, f"pretrain.{change}", "pretrain.num_steps=2")
    trainer.train()
    for row in metric_rows(trainer, "train"):
        assert row["query_tower_grad_norm"] > 0
        assert ("null_mass" in row) == (change != "use_null=false")
        assert ("ict_loss" in row) == (change == "ict_batch=4")
        assert ("recurring_loss" in row) == (change == "recurring_batch=4")


@pytest.mark.parametrize("strategy", ["uniform", "span"])
def test_training_works_with_every_masking_strategy(tmp_path: Path, make_trainer: MakeTrainer, strategy: str) -> None:
    settings = [f"masking.strategy={strategy}", "masking.title_in_query=true", "model.title_in_joint=true"]
    trainer = make_trainer(tmp_path, *settings, "pretrain.num_steps=2")
    assert math.isfinite(float(trainer.train().last["loss"]))


def test_an_index_of_other_towers_or_another_corpus_is_refused(
    tmp_path: Path,
    make_trainer: MakeTrainer,
    toy_config: Callable[..., Config],
    toy_realm: Callable[..., Realm],
    toy_corpus: Corpus,
    engine: Engine,
) -> None:
    good = joint_of(make_trainer(tmp_path)).index
    with pytest.raises(Mismatch, match=r"another encoder: its digest is "):
        make_trainer(tmp_path, seed=1)
    other = Index(good.vector_ND, replace(good.binding, corpus="f" * 64))
    with pytest.raises(Mismatch, match=r"another corpus: its digest is ffff.*, the one in use is "):
        Trainer(toy_realm(), Joint(toy_corpus, other, config=toy_config()), tmp_path, engine=engine)


class OneBatch(Joint):
    """Trains on the same batch at every step."""

    def batch(self, step: int, rank: int = 0, num_ranks: int = 1) -> JointBatch:
        return super().batch(0, rank, num_ranks)


def test_a_batch_that_is_repeated_is_learned(
    tmp_path: Path, make_trainer: MakeTrainer, metric_rows: MetricRows
) -> None:
    settings = ["pretrain.num_steps=40", "pretrain.learning_rate=3e-3", "model.dropout=0"]
    trainer = make_trainer(tmp_path, *settings, kind=OneBatch)
    trainer.train()
    losses = [row["loss"] for row in metric_rows(trainer, "train")]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("by_masks", ["false", "true"])
def test_gradients_of_micro_batches_add_up_to_that_of_the_batch(
    tmp_path: Path, make_trainer: MakeTrainer, metric_rows: MetricRows, by_masks: str
) -> None:
    settings = ("model.dropout=0", "pretrain.batch_size=5", "pretrain.num_steps=3", "pretrain.refresh_steps=99")
    made = []
    for size in ("none", 2):
        more = (f"pretrain.mean_over_masks={by_masks}", f"pretrain.micro_batch_size={size}")
        trainer = make_trainer(tmp_path / str(size), *settings, *more)
        trainer.train()
        rows = [
            {k: v for k, v in row.items() if isinstance(v, float) and "second" not in k}
            for row in metric_rows(trainer, "train")
        ]
        made.append((rows, dict(trainer.model.state_dict())))
    # Adam turns the rounding of a gradient near 0 into a part of the learning rate, which is 1e-3.
    torch.testing.assert_close(made[1], made[0], rtol=1e-3, atol=5e-4)
    assert len(made[0][0]) == 3
    assert "retrieval_utility" in made[0][0][0]


@pytest.mark.parametrize("num_tail", [0, 1])
def test_of_the_queries_that_candidates_are_found_for_those_with_an_answer_are_read(
    tmp_path: Path, make_trainer: MakeTrainer, metric_rows: MetricRows, toy_corpus: Corpus, num_tail: int
) -> None:
    batches: list[JointBatch] = []
    readings: list[Reading] = []
    read: list[Sequence[Example]] = []

    class Recording(Joint):
        def batch(self, step: int, rank: int = 0, num_ranks: int = 1) -> JointBatch:
            batches.append(super().batch(step, rank, num_ranks))
            return batches[-1]

        def _read(self, model: Realm, queries: Any) -> tuple[Reading, int]:
            read.append(queries.examples)
            return super()._read(model, queries)

    settings = [f"pretrain.num_tail_candidates={num_tail}", "pretrain.num_candidates=20", "model.dropout=0"]
    settings += [
        "masking.min_passages=2",
        "pretrain.search_batch_size=60",
        "pretrain.batch_size=3",
        "pretrain.final_unanswerable_share=0.75",
    ]
    trainer = make_trainer(tmp_path, *settings, kind=Recording, loss=recording(readings))
    trainer.train()
    index = Index.open(versions(tmp_path / "index")[0], toy_corpus)
    first = batches[0].examples
    assert [len(batch.examples) for batch in batches] == [60] * 4
    # The first reading is that of the untrained model.
    model = make_trainer(tmp_path, *settings).model.eval()
    query_BD = model.retriever.encode_query([toy_corpus.query_row(example.query, 32) for example in first])
    hits = index.search(query_BD, 19 - num_tail, exclude=[example.blocked for example in first])
    candidates = [[NULL, *found] for found in hits.passages()]

    def answerable(examples: Sequence[Example], rows: Sequence[Sequence[int]]) -> list[bool]:
        pairs = zip(examples, rows, strict=True)
        return [any(contains(toy_corpus.body(p), example.gold) for p in row[: 20 - num_tail]) for example, row in pairs]

    is_answerable = answerable(first, candidates)
    expected = [row for row, is_it in zip(candidates, is_answerable, strict=True) if is_it][:3]
    assert [row[: 20 - num_tail] for row in readings[0].candidates] == expected
    rows = metric_rows(trainer, "train")
    assert rows[0]["answerable"] == pytest.approx(sum(is_answerable) / 60, abs=1e-5)
    assert rows[0]["num_read"] == len(expected) == 3
    # The share of others grows: 0, 0.19, 0.38, 0.56 of three queries.
    for reading, examples, num_others in zip(readings, read, (0, 0, 1, 1), strict=True):
        assert answerable(examples, reading.candidates).count(False) == num_others
        assert len(examples) == 3


def test_queries_to_read_cannot_be_chosen_among_fewer_or_by_scattered_masks(toy_config: Callable[..., Config]) -> None:
    with pytest.raises(BadConfig, match=r"search_batch_size is 3, but must be none or at least pretrain\.batch_size"):
        toy_config("pretrain.search_batch_size=3", "pretrain.batch_size=4")
    with pytest.raises(BadConfig, match=r"must be none if masking\.strategy is uniform"):
        toy_config("pretrain.search_batch_size=8", "masking.strategy=uniform")
    with pytest.raises(BadConfig, match=r"search_candidates is 9, but must be none unless pretrain\.search_batch_size"):
        toy_config("pretrain.search_candidates=9")
    with pytest.raises(BadConfig, match=r"search_candidates is 3, but must be none or at least pretrain\.num_cand"):
        toy_config("pretrain.search_batch_size=60", "pretrain.search_candidates=3", "pretrain.num_candidates=4")
    with pytest.raises(BadConfig, match=r"share_candidates needs pretrain\.loss=marginal"):
        toy_config("pretrain.share_candidates=true", "pretrain.loss=emdr2")
