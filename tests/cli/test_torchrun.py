"""`torchrun … -m openrealm`: the stages of a run by two real processes, of which one writes; all end if one does."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from openrealm.config import Config

pytestmark = pytest.mark.scale

OPENREALM = [sys.executable, "-m", "openrealm"]
# Without `--`, torchrun takes --run for an abbreviation of an option of its own.
LAUNCHER = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
TORCHRUN = [sys.executable, *LAUNCHER, "-m", "--", "openrealm"]
MARKDOWN = Path(__file__).parents[1] / "data" / "markdown"
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
AsSettings = Callable[[Config], list[str]]


def run(command: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, *arguments], env=ENVIRONMENT, capture_output=True, text=True, timeout=600)


def said(output: str) -> list[str]:
    """Without what torchrun reports of the processes that it started."""
    return [line for line in output.splitlines() if line.startswith(("openrealm:", "openrealm,", "Stopped", "Next"))]


@pytest.fixture(scope="module")
def settings(markdown_backbone: Path, toy_config: Callable[..., Config], as_settings: AsSettings) -> list[str]:
    changes = (
        f"model.backbone={markdown_backbone}",
        "masking.kinds=entity,date,number",
        "pretrain.num_steps=6",
        "pretrain.refresh_steps=2",
        "pretrain.synchronous_refresh=true",
        "pretrain.checkpoint_steps=2",
    )
    return as_settings(toy_config(*changes))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, settings: list[str]) -> Path:
    """A run with a corpus."""
    folder = tmp_path_factory.mktemp("torchrun") / "run"
    done = run(OPENREALM, "corpus", "--run", str(folder), "--source", str(MARKDOWN), *settings)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def test_stages_are_done_by_both_processes_and_recorded_once(started: Path) -> None:
    for stage in ("warm-start", "pretrain", "finetune"):
        done = run(TORCHRUN, stage, "--run", str(started))
        assert done.returncode == 0, done.stderr[-3000:]
        assert len([line for line in done.stderr.splitlines() if line.startswith("Next: ")]) == 1, done.stderr
    outcome = json.loads((started / "pretrain" / "outcome.json").read_text())
    assert (outcome["num_steps"], outcome["task"]["refresh_steps"]) == (6, [2, 4])
    lines = (started / "pretrain" / "metrics.jsonl").read_text().splitlines()
    steps = [row["step"] for row in map(json.loads, lines) if row["split"] == "train"]
    assert steps == [1, 2, 3, 4, 5, 6]
    done = run(OPENREALM, "evaluate", "--run", str(started))
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_command_that_does_not_train_is_refused(started: Path) -> None:
    done = run(TORCHRUN, "index", "--run", str(started))
    assert done.returncode != 0
    assert said(done.stderr) == [
        "openrealm: `index` runs in one process; start it without torchrun "
        "(warm-start, pretrain, finetune, base, qa, tagger train)."
    ]


def test_an_error_of_all_processes_is_told_once(started: Path) -> None:
    done = run(TORCHRUN, "pretrain", "--run", str(started), "--resume", "--set", "pretrain.batch_size=3")
    assert done.returncode != 0
    assert len(said(done.stderr)) == 1, done.stderr
    assert "has no checkpoint to resume from" in said(done.stderr)[0]


@pytest.mark.parametrize("killed", [0, 1])
def test_all_processes_end_when_one_is_killed_and_resume_together(started: Path, killed: int) -> None:
    checkpoints = started / "pretrain" / "checkpoints"
    shutil.rmtree(checkpoints, ignore_errors=True)  # those of the test before
    long = ["--set", "pretrain.num_steps=4000", "--set", "pretrain.refresh_steps=4000"]
    with subprocess.Popen([*TORCHRUN, "pretrain", "--run", str(started), *long], env=ENVIRONMENT,
                          stderr=subprocess.PIPE, text=True) as launcher:  # fmt: skip
        deadline = time.monotonic() + 300
        while not any(checkpoints.glob("step-*/manifest.json")) and time.monotonic() < deadline:
            assert launcher.poll() is None
            time.sleep(0.05)
        ranks = {rank_of(pid): pid for pid in children_of(launcher.pid) if rank_of(pid) is not None}
        os.kill(ranks[killed], signal.SIGKILL)
        _, errors = launcher.communicate(timeout=120)
    assert launcher.returncode != 0
    assert not [pid for pid in ranks.values() if Path(f"/proc/{pid}").exists()]
    assert "internal error" not in errors
    assert "Traceback" not in re.sub(r"(?s)torch/distributed/.*", "", errors), errors
    done = run(OPENREALM, "pretrain", "--run", str(started), *long, "--resume")
    assert done.returncode == 2
    assert "is of a training by 2 processes, and this is one by 1 process" in done.stderr


def children_of(parent: int) -> list[int]:
    return [int(pid) for task in Path(f"/proc/{parent}/task").iterdir()
            for pid in (task / "children").read_text().split()]  # fmt: skip


def rank_of(pid: int) -> int | None:
    found = re.search(rb"\x00RANK=(\d+)\x00", Path(f"/proc/{pid}/environ").read_bytes())
    return int(found[1]) if found else None
