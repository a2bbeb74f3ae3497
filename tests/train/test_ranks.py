"""Two real processes: gradients and losses are averaged, and a bad step of one rank is skipped by both."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from openrealm import files
from openrealm.train.ranks import Ranks

PROGRAM = """
import math
import sys
from pathlib import Path
import torch
from openrealm import files
from openrealm.engine import Engine
from openrealm.errors import NonFinite
from openrealm.train.ranks import all_ranks
from openrealm.train.task import Schedule, Task
from openrealm.train.trainer import Trainer
folder, engine = Path(sys.argv[1]), Engine("cpu", False)
torch.set_num_threads(1)

class Fit(Task):
    name = "fit"
    splits_batches = True
    schedule = Schedule(num_steps=6, warmup_steps=1)

    def parameter_groups(self, model):
        return [(model.parameters(), 0.1)]

    def batch(self, step, rank=0, num_ranks=1):
        return step, rank

    def losses(self, model, batch, log):
        if batch == (1, 1):
            raise NonFinite("only the second rank cannot compute this loss")
        loss = (model(torch.ones(1, 1)) - batch[1]).square().sum()
        yield loss
        if batch == (3, 0):
            yield torch.tensor(math.inf)  # not finite, but without a gradient that would show it

with all_ranks() as ranks:
    torch.manual_seed(0)
    trainer = Trainer(torch.nn.Linear(1, 1), Fit(), folder, engine=engine, ranks=ranks)
    outcome = trainer.train()
    weights = [float(p) for p in trainer.model.parameters()]
    files.write_json(folder / f"rank{ranks.rank}.json", [outcome.num_steps, outcome.num_skipped, weights])
"""


def test_one_process_keeps_its_loss_and_gradients() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([1.0, 2.0])
    assert Ranks().average([weight], 0.1) == 0.1
    assert weight.grad.tolist() == [1.0, 2.0]


@pytest.mark.scale
def test_a_step_that_is_not_finite_on_one_rank_is_skipped_by_both(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(program)]
    done = subprocess.run(
        [*command, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (files.read_json(tmp_path / f"rank{n}.json", list[Any]) for n in (0, 1))
    assert first == second
    assert first[:2] == [6, 2]
