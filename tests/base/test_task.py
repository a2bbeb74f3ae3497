"""Training a base encoder at toy size: it learns, resumes bit for bit after a stop, on one rank or two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from openrealm.base.prepare import tiny
from openrealm.base.settings import BaseSettings
from openrealm.base.task import BaseEncoding
from openrealm.base.texts import Texts
from openrealm.callbacks import Callback
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.errors import Mismatch
from openrealm.model.state import unique_state
from openrealm.train import checkpoint
from openrealm.train.trainer import Trainer

SETTINGS = tiny(BaseSettings()).replace(
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


def trainer_of(
    settings: BaseSettings,
    texts: Texts,
    folder: Path,
    *,
    minutes: float | None = None,
    callbacks: Sequence[Callback] = (),
) -> Trainer:
    task = BaseEncoding(texts, settings)
    return Trainer(task.new_model(), task, folder, minutes=minutes, callbacks=callbacks, engine=CPU)


def lines(folder: Path) -> list[dict[str, Any]]:
    """The metrics without what depends on a clock."""
    timed = ("seconds", "tokens_per_second")
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in timed} for row in rows]


def test_both_losses_fall_and_names_are_copied(texts: Texts, tmp_path: Path) -> None:
    settings = SETTINGS.replace(hidden_size=64, num_steps=60, eval_steps=1000, checkpoint_steps=1000)
    outcome = trainer_of(settings, texts, tmp_path).train()
    before, after = ({name: float(value) for name, value in row.items()} for row in (outcome.first, outcome.last))
    # Names of articles that were never read can only be copied.
    assert after["loss_own"] < min(before["loss_own"], after["loss_alone"]) - 0.3
    rows = [row for row in lines(tmp_path) if row["split"] == "train"]
    assert rows[-1]["mlm_loss"] < rows[0]["mlm_loss"] - 0.5
    assert rows[-1]["ict_loss"] < rows[0]["ict_loss"] - 0.1
    assert after["copying"] == pytest.approx(after["accuracy_related"] - after["accuracy_alone"], abs=1e-4)


def test_a_resumed_training_equals_an_uninterrupted_one(
    texts: Texts, tmp_path: Path, interrupt_at: Callable[[int], Any]
) -> None:
    whole = trainer_of(SETTINGS, texts, tmp_path / "whole")
    whole.train()
    interrupt = interrupt_at(6)
    with pytest.raises(interrupt.error):
        trainer_of(SETTINGS, texts, tmp_path / "halves", callbacks=[interrupt]).train()
    assert [path.name for path in checkpoint.checkpoints(tmp_path / "halves" / "checkpoints")] == ["step-00000004"]
    second = trainer_of(SETTINGS, texts, tmp_path / "halves")
    second.train(resume=True)
    resumed = unique_state(second.model)
    for name, tensor in unique_state(whole.model).items():
        assert torch.equal(tensor, resumed[name]), name
    assert lines(tmp_path / "whole") == lines(tmp_path / "halves")
    assert (whole.step, whole.num_tokens) == (second.step, second.num_tokens)


def test_a_resume_with_other_settings_is_refused(texts: Texts, tmp_path: Path) -> None:
    trainer_of(SETTINGS, texts, tmp_path).train()
    with pytest.raises(Mismatch, match="written with other settings"):
        trainer_of(SETTINGS.replace(mlm_batch=SETTINGS.mlm_batch + 1), texts, tmp_path).train(resume=True)


def test_a_budget_of_minutes_ends_the_training(texts: Texts, tmp_path: Path) -> None:
    trainer = trainer_of(SETTINGS.replace(num_steps=10**9), texts, tmp_path, minutes=0.01)
    trainer.train()
    assert trainer.seconds >= 0.6
    assert trainer.optimizer.param_groups[0]["lr"] < SETTINGS.learning_rate
    assert checkpoint.checkpoints(tmp_path / "checkpoints")


RANK_PROGRAM = """
import sys
from pathlib import Path
import torch
from openrealm.base.settings import BaseSettings
from openrealm.base.task import BaseEncoding
from openrealm.base.texts import Texts
from openrealm.callbacks import Callback
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.train import checkpoint
from openrealm.train.ranks import all_ranks
from openrealm.train.trainer import Trainer
corpus, folder, settings = Path(sys.argv[1]), Path(sys.argv[2]), BaseSettings(**eval(sys.argv[3]))
torch.set_num_threads(1)
engine = Engine("cpu", False)

class StopsAtFour(Callback):
    def on_evaluate(self, trainer, row):
        trainer.should_stop = trainer.step == 4  # evaluations are the first rank's alone

with all_ranks() as ranks:
    task = BaseEncoding(Texts([Corpus.open(corpus)], settings.heldout_rate, 0), settings)
    trainer = Trainer(task.new_model(), task, folder / "whole", engine=engine, ranks=ranks)
    trainer.train()
    checkpoint.save(folder / f"rank{ranks.rank}", trainer.model, trainer.optimizer, {"step": trainer.step})
    stopped = Trainer(
        task.new_model(), task, folder / "stopped", engine=engine, ranks=ranks, callbacks=[StopsAtFour()]
    )
    stopped.train()
    (folder / f"rank{ranks.rank}.txt").write_text(repr((trainer.step, stopped.step)))
"""


@pytest.mark.scale
def test_two_ranks_learn_what_one_learns_stop_together_and_one_writes(
    toy_corpus_folder: Path, texts: Texts, tmp_path: Path
) -> None:
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
    first, second = (load_file(tmp_path / f"rank{n}" / "step-00000008" / "model.safetensors") for n in (0, 1))
    alone = trainer_of(SETTINGS, texts, tmp_path / "alone")
    alone.train()
    for name, tensor in unique_state(alone.model).items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], tensor, rtol=1e-4, atol=1e-4)
    steps = [(tmp_path / f"rank{n}.txt").read_text() for n in (0, 1)]
    assert steps == [repr((SETTINGS.num_steps, 4))] * 2, "a callback of the first rank stops both"
    whole = tmp_path / "whole"
    assert [row["step"] for row in lines(whole) if row["split"] == "heldout"] == [0, 4, 8]
    assert checkpoint.checkpoints(whole / "checkpoints")
