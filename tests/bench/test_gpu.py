"""gpu.sh at toy size on the CPU, and the parity of a GPU with the CPU where there is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).parents[2]


def call(out: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OUT": str(out), "SIZE": "toy", "DEVICE": "cpu", "PYTHON": sys.executable} | changes
    return subprocess.run(
        ["bash", str(ROOT / "bench" / "gpu.sh")], env=environment, capture_output=True, text=True, timeout=540
    )


@pytest.mark.scale
@pytest.mark.timeout(900)
def test_all_parts_run_at_toy_size_and_none_is_measured_twice(tmp_path: Path) -> None:
    done = call(tmp_path, SECONDS_IN_ALL="0")
    assert done.returncode == 3
    assert done.stdout == "environment: no time left; call again\n"
    (tmp_path / "tests.json").write_text("{}")
    done = call(tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    figures = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert set(figures) == {"environment", "tests", "parity", "embedding", "search", "joint", "pretraining"}
    assert figures["tests"] == {}, "a part that is there is not measured again"
    assert figures["parity"]["fp32_loss"] == 0.0
    assert 0 < figures["parity"]["bf16_loss"] < 1e-2
    for part in ("embedding", "joint"):
        assert 0 < figures[part]["mfu"] < 1
    assert figures["pretraining"]["refreshes"] >= 1


def test_what_is_sent_to_such_a_machine_is_small() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name.decode() for name in names.split(b"\0") if name]
    assert sum(path.stat().st_size for path in paths if path.is_file()) < 60_000_000


@pytest.mark.gpu
def test_a_joint_step_on_the_gpu_agrees_with_the_cpu(load: Callable[[str], ModuleType]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    gpu = load("gpu")
    figures = gpu.parity(gpu.SIZES["full"], "cuda")
    assert figures["fp32_loss"] < 1e-4
    assert figures["bf16_loss"] < 1e-2
