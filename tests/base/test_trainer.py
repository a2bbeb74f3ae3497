"""Training a base encoder at toy size: it learns, goes on after a stop as if nothing had been, on one rank or two."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from openrealm.base.prepare import tiny
from openrealm.base.settings import BaseSettings
from openrealm.base.texts import Texts
from openrealm.base.trainer import BaseTrainer
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.errors import Mismatch
from openrealm.train import checkpoint

SETTINGS = dataclasses.replace(
    tiny(BaseSettings()),
    heldout_rate=0.2,
    max_query_tokens=24,
    mlm_batch=16,
    num_steps=8,
    warmup_steps=2,
    eval_steps=4,
    checkpoint_steps=4,
    num_heldout_queries=12,
    learning_rate=3e-3,
)
CPU = Engine("cpu", False)


@pytest.fixture(scope="module")
def texts(toy_corpus: Corpus) -> Texts:
    return Texts([toy_corpus], SETTINGS.heldout_rate, 0)


def lines(folder: Path) -> list[dict[str, Any]]:
    """The metrics without what a clock says."""
    timed = ("seconds", "tokens_per_second", "elapsed_seconds")
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in timed} for row in rows]


def weights(trainer: BaseTrainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.model.own_state().items()}


def test_both_losses_fall_and_names_are_copied(texts: Texts, tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, hidden_size=64, num_steps=60, eval_steps=1000, checkpoint_steps=1000)
    trainer = BaseTrainer(settings, texts, tmp_path, CPU)
    before = trainer.heldout.measure(trainer.model, CPU) if trainer.heldout else {}
    after = trainer.train()
    # Names of articles that were never read can only be copied.
    assert after["loss_own"] < min(float(before["loss_own"]), after["loss_alone"]) - 0.3
    rows = [row for row in lines(tmp_path) if row["split"] == "train"]
    assert rows[-1]["mlm_loss"] < rows[0]["mlm_loss"] - 0.5
    assert rows[-1]["ict_loss"] < rows[0]["ict_loss"] - 0.1
    assert after["copying"] == pytest.approx(after["accuracy_related"] - after["accuracy_alone"], abs=1e-4)


def test_a_resume_goes_on_to_the_digit(texts: Texts, tmp_path: Path) -> None:
    whole = BaseTrainer(SETTINGS, texts, tmp_path / "whole", CPU)
    whole.train()
    first = BaseTrainer(SETTINGS, texts, tmp_path / "halves", CPU)
    six = iter([first.batches[step] for step in range(6)])
    first._stream = lambda: six  # type: ignore[method-assign]  # data that ends early, as a kill would end it
    with pytest.raises(StopIteration):
        first.train()
    assert [path.name for path in checkpoint.checkpoints(tmp_path / "halves" / "checkpoints")] == ["step-00000004"]
    second = BaseTrainer(SETTINGS, texts, tmp_path / "halves", CPU)
    second.train(resume=True)
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(second)[name]), name
    assert lines(tmp_path / "whole") == lines(tmp_path / "halves")
    assert (whole.step, whole.num_tokens) == (second.step, second.num_tokens)


def test_a_resume_with_other_settings_is_refused(texts: Texts, tmp_path: Path) -> None:
    BaseTrainer(SETTINGS, texts, tmp_path, CPU).train()
    changed = BaseTrainer(dataclasses.replace(SETTINGS, learning_rate=1e-4), texts, tmp_path, CPU)
    with pytest.raises(Mismatch, match="written with another configuration"):
        changed.train(resume=True)


def test_a_budget_of_minutes_ends_the_training(texts: Texts, tmp_path: Path) -> None:
    trainer = BaseTrainer(dataclasses.replace(SETTINGS, num_steps=10**9), texts, tmp_path, CPU, minutes=0.01)
    trainer.train()
    assert trainer.seconds >= 0.6
    assert trainer.optimizer.param_groups[0]["lr"] < SETTINGS.learning_rate
    assert checkpoint.checkpoints(tmp_path / "checkpoints")


RANK_PROGRAM = """
import sys
from pathlib import Path
import torch
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.base.trainer import BaseTrainer
from openrealm.base.settings import BaseSettings
from openrealm.base.texts import Texts
from openrealm.train.ranks import all_ranks
corpus, folder, settings = Path(sys.argv[1]), Path(sys.argv[2]), eval(sys.argv[3])
torch.set_num_threads(1)
with all_ranks(Engine("cpu", False)) as ranks:
    settings = BaseSettings(**settings)
    trainer = BaseTrainer(settings, Texts([Corpus.open(corpus)], 0.2, 0), folder, Engine("cpu", False), ranks)
    trainer.train()
    total = sum(float(tensor.double().abs().sum()) for tensor in trainer.model.own_state().values())
    (folder / f"rank{ranks.rank}").write_text(repr((trainer.step, trainer.num_tokens, total)))
"""


@pytest.mark.scale
def test_two_ranks_end_with_the_same_weights_and_one_writes(toy_corpus_folder: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(RANK_PROGRAM)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(program)]
    done = subprocess.run(
        [*command, str(toy_corpus_folder), str(tmp_path), repr(SETTINGS.to_dict())],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = ((tmp_path / f"rank{rank}").read_text() for rank in (0, 1))
    assert eval(first)[0] == SETTINGS.num_steps
    assert eval(first)[2] == eval(second)[2]
    assert [row["step"] for row in lines(tmp_path) if row["split"] == "heldout"] == [4, 8, 8]
    assert checkpoint.checkpoints(tmp_path / "checkpoints")
