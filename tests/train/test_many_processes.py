"""Real processes, started by torchrun, that share batches: the same losses and weights as one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from openrealm import files

sys.path.append(str(Path(__file__).parent))
from all_tasks import TASKS

PROGRAM = Path(__file__).with_name("all_tasks.py")
MakeOrder = Callable[..., dict[str, Any]]
# Uneven for 2 and 4 processes, with losses that gather vectors, and sampled tails.
CHANGES = (
    "pretrain.batch_size=6",
    "pretrain.micro_batch_size=2",
    "pretrain.num_candidates=6",
    "pretrain.num_tail_candidates=2",
    "pretrain.mean_over_masks=true",
    "pretrain.refresh_steps=2",
    "pretrain.synchronous_refresh=true",
    "warm_start.mlm_batch=7",
    "warm_start.ict_batch=9",
    "warm_start.related_rate=0.3",
    "finetune.batch_size=5",
    "finetune.num_candidates=40",  # an untrained model finds few answers among the first
    "finetune.early_candidates=98",
    "model.dropout=0",
)


UNSTEADY = ("drift", "overlap", "rank_correlation")


def torchrun(num_processes: int, *arguments: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
    """Run a program in several processes, or plainly in one."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_processes}"]
    return subprocess.run(
        [sys.executable, *(launcher if num_processes > 1 else []), *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def trained(order: MakeOrder, folder: Path, num_processes: int, tasks: Sequence[str]) -> Path:
    """The folder in which `num_processes` have trained the tasks."""
    order_file = folder / f"{num_processes}.json"
    given = order("", folder / str(num_processes), *CHANGES) | {"tasks": list(tasks), "dropout": False}
    given["schedule"] = {"num_steps": 5, "log_steps": 1, "checkpoint_steps": 4}
    files.write_json(order_file, given)
    done = torchrun(num_processes, str(PROGRAM), str(order_file))
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / str(num_processes)


def rows(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    unlike = ("seconds", "tokens_per_second", "query_tower_grad_norm", "passage_tower_grad_norm")
    return [{key: value for key, value in row.items() if key not in unlike} for row in found]


def compare(alone: Path, together: Path, tasks: Sequence[str]) -> None:
    """All that was logged at every step, and the weights in the end."""
    differences = []
    for task in tasks:
        first, second = rows(alone / task), rows(together / task)
        assert len(first) >= 5
        assert any(value for row in first for key, value in row.items() if key.endswith("loss")), task
        for one, other in zip(first, second, strict=True):
            assert one.keys() == other.keys(), task
            for key in one.keys() - {"index"}:  # which is named after its weights
                # Adam divides by the size of the gradient, so that rounding errors move weights that hardly matter; the
                # order of passages with almost the same score depends on these.
                most = 1e-5 if key.endswith("loss") else 3e-2 if key in UNSTEADY else 1e-3
                if isinstance(one[key], float) and other[key] != pytest.approx(one[key], rel=most, abs=most):
                    differences.append((task, one["step"], key, one[key], other[key]))
        weights, others = (
            files.read_safetensors(folder / task / "weights.safetensors") for folder in (alone, together)
        )
        largest = max(float((tensor - others[name]).abs().max()) for name, tensor in weights.items())
        if largest > 1e-3:
            differences.append((task, len(first), "weights", 0.0, largest))
    assert differences == []


def test_two_processes_log_the_same_losses_as_one(tmp_path: Path, order: MakeOrder) -> None:
    tasks = ["warm_start", "joint"]
    compare(trained(order, tmp_path, 1, tasks), trained(order, tmp_path, 2, tasks), tasks)


@pytest.mark.scale
def test_all_tasks_have_the_same_losses_in_1_2_and_4_processes(tmp_path: Path, order: MakeOrder) -> None:
    alone = trained(order, tmp_path, 1, list(TASKS))
    for num_processes in (2, 4):
        compare(alone, trained(order, tmp_path, num_processes, list(TASKS)), list(TASKS))
