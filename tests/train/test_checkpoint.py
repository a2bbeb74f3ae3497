"""A checkpoint restores everything or is refused; a resumed run ends where an uninterrupted one does, bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from openrealm import files
from openrealm.config import Config
from openrealm.errors import DamagedArtefact, Mismatch
from openrealm.model.realm import Realm
from openrealm.train import checkpoint
from openrealm.train.optimizer import adam
from openrealm.train.pretrain import Pretrainer

MakeTrainer = Callable[..., Pretrainer]
STATE = {"config_digest": "d" * 64, "index": "00000000-e"}


class Bench:
    """A model, an optimiser over all of it, and one step of made-up gradients."""

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
def test_weights_adam_and_the_random_generator_come_back(
    tmp_path: Path, toy_realm: Callable[..., Realm], shared: bool
) -> None:
    bench = Bench(toy_realm(f"model.shared_towers={shared}"))
    bench.step()
    path = checkpoint.save(tmp_path, 7, bench.model, bench.optimizer, STATE)
    at_save = bench.numbers()
    bench.step()
    later = bench.numbers()
    other = Bench(toy_realm(f"model.shared_towers={shared}", seed=9))
    state = checkpoint.load(path, other.model, other.optimizer, "d" * 64)
    assert state == STATE | {"step": 7}
    assert same(other.numbers(), at_save)
    other.step()
    assert same(other.numbers(), later), "the next random gradients are the same too"


def test_a_checkpoint_before_the_first_step_comes_back(tmp_path: Path, toy_realm: Callable[..., Realm]) -> None:
    bench, other = Bench(toy_realm()), Bench(toy_realm(seed=9))
    checkpoint.load(
        checkpoint.save(tmp_path, 0, bench.model, bench.optimizer, STATE), other.model, other.optimizer, "d" * 64
    )
    assert same(other.numbers(), bench.numbers())


def test_two_are_kept_oldest_first(tmp_path: Path, toy_realm: Callable[..., Realm]) -> None:
    bench = Bench(toy_realm())
    for step in (2, 4, 6, 10):
        checkpoint.save(tmp_path, step, bench.model, bench.optimizer, STATE)
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == ["step-00000006", "step-00000010"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000006", "step-00000010"]
    checkpoint.remove_all(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_of_other_settings_is_refused_with_both_digests(tmp_path: Path, toy_realm: Callable[..., Realm]) -> None:
    bench = Bench(toy_realm())
    path = checkpoint.save(tmp_path, 2, bench.model, bench.optimizer, STATE)
    before = bench.numbers()
    with pytest.raises(Mismatch, match=f"digest is {'d' * 16}, the one in use is {'e' * 16}; resume with"):
        checkpoint.load(path, bench.model, bench.optimizer, "e" * 64)
    assert same(bench.numbers(), before)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
def test_a_damaged_one_is_refused_by_name(tmp_path: Path, toy_realm: Callable[..., Realm], name: str) -> None:
    bench = Bench(toy_realm())
    path = checkpoint.save(tmp_path, 2, bench.model, bench.optimizer, STATE)
    data = bytearray((path / name).read_bytes())
    data[len(data) // 3] ^= 4
    (path / name).write_bytes(data)
    with pytest.raises(DamagedArtefact, match=name):
        checkpoint.load(path, bench.model, bench.optimizer, "d" * 64)


def test_a_tensor_that_is_missing_is_not_passed_over(tmp_path: Path, toy_realm: Callable[..., Realm]) -> None:
    bench = Bench(toy_realm())
    path = checkpoint.save(tmp_path, 2, bench.model, bench.optimizer, STATE)
    tensors = bench.model.own_state()
    del tensors["reader.head.bias"]
    with files.new_folder(tmp_path / "copy", {"kind": "checkpoint"}) as out:
        shutil.copytree(path, out, ignore=shutil.ignore_patterns("manifest.json"), dirs_exist_ok=True)
        files.write_safetensors(out / "model.safetensors", tensors)
    with pytest.raises(DamagedArtefact, match=r"missing \['reader\.head\.bias'\]"):
        checkpoint.load(tmp_path / "copy", bench.model, bench.optimizer, "d" * 64)


def test_the_training_digest_is_of_what_decides_the_result_alone(toy_config: Callable[..., Config]) -> None:
    digest = checkpoint.training_digest(toy_config())
    free = ["name=other", "device=auto", "num_threads=2", "finetune.num_steps=9", "pretrain.max_staleness_steps=3"]
    free += ["pretrain.eval_steps=7", "pretrain.checkpoint_steps=3"]
    assert checkpoint.training_digest(toy_config(*free)) == digest
    for change in (
        "seed=1",
        "precision=bf16",
        "corpus.max_passage_tokens=30",
        "model.temperature=0.5",
        "masking.max_masked_tokens=3",
        "warm_start.num_steps=9",
        "pretrain.num_steps=9",
        "pretrain.num_heldout_queries=9",
    ):
        assert checkpoint.training_digest(toy_config(change)) != digest, change


def weights(trainer: Pretrainer) -> dict[str, torch.Tensor]:
    return Bench.numbers(trainer)  # type: ignore[arg-type]


def metric_rows(trainer: Pretrainer) -> list[dict[str, object]]:
    lines = (trainer.folder / "metrics.jsonl").read_text().splitlines()
    timing = ("seconds", "tokens_per_second")
    return [{k: v for k, v in json.loads(line).items() if k not in timing} for line in lines]


class Stopped(Exception):
    """What stops a run between two steps here."""


class StopsAt5(Pretrainer):
    def _one_step(self) -> dict[str, float | int | str]:
        if self.step == 5:
            raise Stopped
        return super()._one_step()


SIX = ["pretrain.num_steps=6", "pretrain.checkpoint_steps=3", "pretrain.eval_steps=3", "model.dropout=0.1"]


@pytest.mark.parametrize("change", ["pretrain.ict_batch=0", "pretrain.ict_batch=4"])
def test_six_steps_are_three_and_three(tmp_path: Path, make_trainer: MakeTrainer, change: str) -> None:
    straight = make_trainer(tmp_path / "straight", *SIX, change)
    straight.train()
    broken = make_trainer(tmp_path / "broken", *SIX, change, kind=StopsAt5)
    with pytest.raises(Stopped):
        broken.train()
    assert [row["step"] for row in metric_rows(broken) if row["split"] == "train"] == [1, 2, 3, 4, 5]
    torch.manual_seed(1234)
    free = ["name=renamed", "pretrain.max_staleness_steps=50"]
    resumed = make_trainer(tmp_path / "broken", *SIX, change, *free, seed=77)
    outcome = resumed.train(resume=True)
    assert same(weights(resumed), weights(straight))
    assert metric_rows(resumed) == metric_rows(straight), "lines after the checkpoint were dropped, none came twice"
    assert outcome == straight.outcome


def test_without_a_checkpoint_resuming_starts_at_the_beginning(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(tmp_path, "pretrain.num_steps=2")
    trainer.train(resume=True)
    assert [row["step"] for row in metric_rows(trainer)] == [0, 1, 2, 2]


def test_starting_anew_forgets_the_checkpoints_of_the_run_before(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    make_trainer(tmp_path, *SIX).train()
    assert len(checkpoint.checkpoints(tmp_path / "run" / "checkpoints")) == 2
    again = make_trainer(tmp_path, *SIX, kind=StopsAt5)
    with pytest.raises(Stopped):
        again.train()
    assert [path.name for path in checkpoint.checkpoints(tmp_path / "run" / "checkpoints")] == ["step-00000003"]


def test_a_checkpoint_on_another_corpus_is_refused(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    with pytest.raises(Stopped):
        make_trainer(tmp_path, *SIX, kind=StopsAt5).train()
    trainer = make_trainer(tmp_path, *SIX)
    for what in ("tokenizer", "corpus"):
        binding = trainer.binding
        trainer.binding = type(binding)(
            **{n: getattr(binding, n) for n in ("encoder", "tokenizer", "corpus")} | {what: "x"}
        )
        with pytest.raises(Mismatch, match=f"another {what}"):
            trainer.train(resume=True)
        trainer.binding = binding


_RUN = """
import sys
from pathlib import Path
import torch
from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.files import read_json
from openrealm.model.realm import Realm
from openrealm.train.pretrain import Pretrainer

folder, corpus = Path(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
config = Config.from_dict(read_json(folder / "config.json"))
model = Realm.from_pretrained(folder / "model")
Pretrainer(config, model, Corpus.open(corpus), corpus, folder / "index", folder / "run", Engine("cpu", False)).train()
"""


def test_a_run_that_was_killed_resumes_to_the_same_weights(
    tmp_path: Path, make_trainer: MakeTrainer, toy_corpus_folder: Path
) -> None:
    settings = ["pretrain.num_steps=30", "pretrain.checkpoint_steps=2", "pretrain.batch_size=2"]
    folder = tmp_path / "killed"
    resumed = make_trainer(folder, *settings)
    resumed.model.save_pretrained(folder / "model")
    files.write_json(folder / "config.json", resumed.config.to_dict())
    process = subprocess.Popen([sys.executable, "-c", _RUN, str(folder), str(toy_corpus_folder)])
    checkpoints = folder / "run" / "checkpoints"
    deadline = time.monotonic() + 240
    while not checkpoint.checkpoints(checkpoints) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 2 <= files.read_json(checkpoint.checkpoints(checkpoints)[-1] / "state.json")["step"] < 30
    resumed.train(resume=True)
    straight = make_trainer(tmp_path / "straight", *settings)
    straight.train()
    assert same(weights(resumed), weights(straight))
    assert metric_rows(resumed) == metric_rows(straight)
