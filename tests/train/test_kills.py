"""Joint training with a synchronous refresh is killed 20 times at random, in the middle of refreshes too.

In the end weights, Adam's state, random generators and metrics are those of a training that was never interrupted, bit
for bit; in one process and in two.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from openrealm import files
from openrealm.train import checkpoint

PROGRAM = Path(__file__).with_name("all_tasks.py")
NUM_KILLS = 20
CHANGES = (
    "pretrain.batch_size=4",
    "pretrain.refresh_steps=20",
    "pretrain.synchronous_refresh=true",
    "pretrain.num_candidates=4",
    "pretrain.eval_steps=50",
    "model.dropout=0.1",
)
MakeOrder = Callable[..., dict[str, Any]]


def command(order_file: Path, num_processes: int) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_processes}"]
    return [sys.executable, *(launcher if num_processes > 1 else []), str(PROGRAM), str(order_file)]


def started(order_file: Path, num_processes: int) -> subprocess.Popen[bytes]:
    log = (order_file.with_suffix(".log")).open("ab")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    with log:
        return subprocess.Popen(command(order_file, num_processes), env=environment, stdout=log, stderr=log)


def ranks_of(launcher: int) -> list[int]:
    """The processes that torchrun has started to train; the refresh worker is a child of one of them."""
    found: list[int] = []
    for children in Path(f"/proc/{launcher}/task").glob("*/children"):
        pids = map(int, children.read_text().split())
        found += [pid for pid in pids if b"\0RANK=" in Path(f"/proc/{pid}/environ").read_bytes()]
    return found


def time_of(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def num_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_change(of: Callable[[Path], int], path: Path, process: subprocess.Popen[bytes], *, by: int = 1) -> None:
    """Wait until `of(path)` has grown, since the start of this process, by at least `by`."""
    first, deadline = of(path), time.monotonic() + 300
    while of(path) < first + by:
        assert process.poll() is None, "there are enough steps for all kills"
        assert time.monotonic() < deadline
        first = min(first, of(path))  # a resumed training drops what was logged after the checkpoint
        time.sleep(0.002)


def kill(process: subprocess.Popen[bytes], num_processes: int, rng: random.Random) -> None:
    """SIGKILL to the training, or to a random one of its processes."""
    victims = [process.pid] if num_processes == 1 else ranks_of(process.pid)
    if victims:
        os.kill(rng.choice(victims), signal.SIGKILL)
    process.wait(timeout=120)
    assert process.returncode != 0


@pytest.mark.scale
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("num_processes", [1, 2])
def test_twenty_kills_change_nothing(tmp_path: Path, order: MakeOrder, num_processes: int) -> None:
    schedule = {"num_steps": 160, "checkpoint_steps": 5, "log_steps": 1}
    for name in ("killed", "straight"):
        given = order("", tmp_path / name, *CHANGES) | {"tasks": ["joint"], "dropout": True, "schedule": schedule}
        files.write_json(tmp_path / f"{name}.json", given)
    folder, rng, num_in_refresh = tmp_path / "killed" / "joint", random.Random(num_processes), 0
    for _ in range(NUM_KILLS):
        process = started(tmp_path / "killed.json", num_processes)
        if rng.random() < 0.5:
            wait_for_change(time_of, folder / "refresh.json", process)
            time.sleep(rng.uniform(0, 2))
            num_in_refresh += 1
        else:
            wait_for_change(num_lines, folder / "metrics.jsonl", process, by=rng.randint(1, 12))
        kill(process, num_processes, rng)
    for name in ("killed", "straight"):
        process = started(tmp_path / f"{name}.json", num_processes)
        assert process.wait(timeout=900) == 0, (tmp_path / f"{name}.log").read_text()[-3000:]
    assert num_in_refresh >= 5
    assert_same(folder, tmp_path / "straight" / "joint")


def assert_same(one: Path, other: Path) -> None:
    first, second = (checkpoint.checkpoints(folder / "checkpoints")[-1] for folder in (one, other))
    for name in ("model.safetensors", "optimizer.safetensors"):
        left, right = files.read_safetensors(first / name), files.read_safetensors(second / name)
        assert left.keys() == right.keys()
        assert [key for key in left if not torch.equal(left[key], right[key])] == []
    assert rows(one) == rows(other)
    states = [checkpoint.read_state(path)["task"] for path in (first, second)]
    assert states[0]["refresh_steps"] == states[1]["refresh_steps"] != []


def rows(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in ("seconds", "tokens_per_second")} for row in found]
