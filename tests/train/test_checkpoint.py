"""A checkpoint restores everything or is refused; a resumed training equals an uninterrupted one bit for bit."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from openrealm import files
from openrealm.callbacks import Callback
from openrealm.errors import DamagedArtefact, Mismatch, MissingStage
from openrealm.index.index import Index, versions
from openrealm.model.realm import Realm
from openrealm.model.state import unique_state
from openrealm.train import checkpoint
from openrealm.train.optimizer import adam
from openrealm.train.trainer import Trainer

MakeTrainer = Callable[..., Trainer]
MetricRows = Callable[..., list[dict[str, Any]]]
STATE: checkpoint.State = {
    "step": 2,
    "fingerprint": "d" * 64,
    "seconds": 1.5,
    "num_tokens": 10,
    "num_metrics": 2,
    "metrics_sha256": "e" * 64,
    "evaluated_step": None,
    "should_stop": False,
    "peak_rates": [0.1, 0.2],
    "unlogged": [{"loss": 1.0, "index": "00000000-e"}],
    "recent": [],
    "num_skipped": 0,
    "num_skipped_in_a_row": 0,
    "first": {},
    "last": {},
    "task": {},
    "callbacks": {},
}


class Bench:
    """A model and its optimiser, with steps on random gradients."""

    def __init__(self, model: Realm) -> None:
        self.model = model
        self.optimizer = adam([(model.reader.parameters(), 0.1), (model.retriever.parameters(), 0.2)], 0.01)

    def step(self) -> None:
        for parameter in self.model.parameters():
            parameter.grad = torch.randn_like(parameter)
        self.optimizer.step()

    def numbers(self) -> dict[str, torch.Tensor]:
        state = self.optimizer.state_dict()["state"]
        adams = {f"{n}.{key}": value.clone() for n, entry in state.items() for key, value in entry.items()}
        return {name: tensor.clone() for name, tensor in self.model.state_dict().items()} | adams


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("shared", [True, False])
def test_weights_adam_and_the_random_generator_are_restored(
    tmp_path: Path, toy_realm: Callable[..., Realm], shared: bool
) -> None:
    bench = Bench(toy_realm(f"model.shared_towers={shared}"))
    bench.step()
    path = checkpoint.save(tmp_path, bench.model, bench.optimizer, {**STATE, "step": 7})
    at_save = bench.numbers()
    bench.step()
    later = bench.numbers()
    other = Bench(toy_realm(f"model.shared_towers={shared}", seed=9))
    state = checkpoint.load(path, other.model, other.optimizer, "d" * 64)
    assert state == {**STATE, "step": 7}
    assert same(other.numbers(), at_save)
    other.step()
    assert same(other.numbers(), later), "the next random gradients are the same too"


def test_a_checkpoint_before_the_first_step_is_restored(tmp_path: Path, toy_realm: Callable[..., Realm]) -> None:
    bench, other = Bench(toy_realm()), Bench(toy_realm(seed=9))
    checkpoint.load(
        checkpoint.save(tmp_path, bench.model, bench.optimizer, {**STATE, "step": 0}),
        other.model,
        other.optimizer,
        "d" * 64,
    )
    assert same(other.numbers(), bench.numbers())


def test_the_last_two_are_kept_oldest_first(tmp_path: Path, toy_realm: Callable[..., Realm]) -> None:
    bench = Bench(toy_realm())
    for step in (2, 4, 6, 10):
        checkpoint.save(tmp_path, bench.model, bench.optimizer, {**STATE, "step": step})
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == ["step-00000006", "step-00000010"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000006", "step-00000010"]
    checkpoint.remove_all(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_of_other_settings_is_refused_with_both_digests(tmp_path: Path, toy_realm: Callable[..., Realm]) -> None:
    bench = Bench(toy_realm())
    path = checkpoint.save(tmp_path, bench.model, bench.optimizer, STATE)
    before = bench.numbers()
    with pytest.raises(Mismatch, match=f"digest is {'d' * 16}, the one in use is {'e' * 16}; resume with"):
        checkpoint.load(path, bench.model, bench.optimizer, "e" * 64)
    assert same(bench.numbers(), before)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
def test_a_damaged_one_is_refused_by_name(tmp_path: Path, toy_realm: Callable[..., Realm], name: str) -> None:
    bench = Bench(toy_realm())
    path = checkpoint.save(tmp_path, bench.model, bench.optimizer, STATE)
    data = bytearray((path / name).read_bytes())
    data[len(data) // 3] ^= 4
    (path / name).write_bytes(data)
    with pytest.raises(DamagedArtefact, match=name):
        checkpoint.load(path, bench.model, bench.optimizer, "d" * 64)


def test_a_missing_tensor_is_an_error(tmp_path: Path, toy_realm: Callable[..., Realm]) -> None:
    bench = Bench(toy_realm())
    path = checkpoint.save(tmp_path, bench.model, bench.optimizer, STATE)
    tensors = unique_state(bench.model)
    del tensors["reader.head.bias"]
    with files.new_folder(tmp_path / "copy", {"kind": "checkpoint"}) as out:
        shutil.copytree(path, out, ignore=shutil.ignore_patterns("manifest.json"), dirs_exist_ok=True)
        files.write_safetensors(out / "model.safetensors", tensors)
    with pytest.raises(DamagedArtefact, match=r"missing \['reader\.head\.bias'\]"):
        checkpoint.load(tmp_path / "copy", bench.model, bench.optimizer, "d" * 64)


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return Bench.numbers(trainer)  # type: ignore[arg-type]


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in ("seconds", "tokens_per_second")} for row in rows]


SIX = ["pretrain.num_steps=6", "pretrain.checkpoint_steps=3", "pretrain.eval_steps=3", "model.dropout=0.1"]


@pytest.mark.parametrize("change", ["pretrain.ict_batch=0", "pretrain.ict_batch=4"])
def test_three_steps_and_three_resumed_ones_equal_six(
    tmp_path: Path,
    make_trainer: MakeTrainer,
    metric_rows: MetricRows,
    stop_at: Callable[..., Callback],
    stopped: type[Exception],
    change: str,
) -> None:
    straight = make_trainer(tmp_path / "straight", *SIX, change)
    straight.train()
    broken = make_trainer(tmp_path / "broken", *SIX, change, callbacks=[stop_at(5)])
    with pytest.raises(stopped):
        broken.train()
    assert [row["step"] for row in metric_rows(broken, "train")] == [1, 2, 3, 4, 5]
    torch.manual_seed(1234)
    free = ["name=renamed", "pretrain.max_staleness_steps=50"]
    resumed = make_trainer(tmp_path / "broken", *SIX, change, *free)
    outcome = resumed.train(resume=True)
    assert same(weights(resumed), weights(straight))
    assert without_times(metric_rows(resumed)) == without_times(metric_rows(straight)), "no line is lost or repeated"
    straight.outcome.recent, outcome.recent = {}, {}  # they hold seconds
    assert outcome == straight.outcome


def test_only_changed_settings_that_affect_the_weights_are_refused(
    tmp_path: Path, make_trainer: MakeTrainer, stop_at: Callable[..., Callback], stopped: type[Exception]
) -> None:
    with pytest.raises(stopped):
        make_trainer(tmp_path, *SIX, callbacks=[stop_at(3)]).train()
    for change in (
        "seed=1",
        "corpus.max_passage_tokens=30",
        "masking.max_masked_tokens=3",
        "warm_start.num_steps=9",
        "pretrain.num_steps=9",
        "pretrain.batch_size=3",
        "pretrain.loss=emdr2",
        "pretrain.num_heldout_queries=9",
    ):
        with pytest.raises(Mismatch, match="was written with other settings"):
            make_trainer(tmp_path, *SIX, change).train(resume=True)
    free = ["name=other", "device=auto", "num_threads=2", "finetune.num_steps=9", "pretrain.max_staleness_steps=3"]
    free += ["pretrain.eval_steps=7", "pretrain.checkpoint_steps=2"]
    free += ["pretrain.learning_rate=1e-5", "pretrain.tower_learning_rate=1e-6"]  # how to go on after a divergence
    assert make_trainer(tmp_path, *SIX, *free).train(resume=True).num_steps == 6


def test_resuming_without_a_checkpoint_starts_at_the_beginning(
    tmp_path: Path, make_trainer: MakeTrainer, metric_rows: MetricRows
) -> None:
    trainer = make_trainer(tmp_path, "pretrain.num_steps=2")
    trainer.train(resume=True)
    assert [row["step"] for row in metric_rows(trainer)] == [0, 1, 2, 2]


def test_starting_over_deletes_earlier_checkpoints(
    tmp_path: Path, make_trainer: MakeTrainer, stop_at: Callable[..., Callback], stopped: type[Exception]
) -> None:
    make_trainer(tmp_path, *SIX).train()
    assert len(checkpoint.checkpoints(tmp_path / "run" / "checkpoints")) == 2
    with pytest.raises(stopped):
        make_trainer(tmp_path, *SIX, callbacks=[stop_at(5)]).train()
    assert [path.name for path in checkpoint.checkpoints(tmp_path / "run" / "checkpoints")] == ["step-00000003"]


def test_a_checkpoint_whose_index_is_gone_or_of_another_corpus_is_refused(
    tmp_path: Path, make_trainer: MakeTrainer, stop_at: Callable[..., Callback], stopped: type[Exception]
) -> None:
    with pytest.raises(stopped):
        make_trainer(tmp_path, *SIX, callbacks=[stop_at(5)]).train()
    trainer = make_trainer(tmp_path, *SIX)
    [version] = versions(tmp_path / "index")
    good = Index.open(version)
    files.remove_folder(version)
    with pytest.raises(MissingStage, match="00000000-"):
        trainer.train(resume=True)
    Index(good.vector_ND, dataclasses.replace(good.binding, corpus="f" * 64)).save(tmp_path / "index")
    with pytest.raises(Mismatch, match="another corpus: its digest is ffff"):
        trainer.train(resume=True)
