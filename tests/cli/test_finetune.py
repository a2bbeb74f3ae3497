"""`openrealm finetune --resume` with finished, missing and interrupted systems."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from openrealm.cli.main import main
from openrealm.run import stages
from openrealm.run.folder import Run
from openrealm.run.systems import SYSTEMS


def test_resuming_skips_finished_systems_and_trains_the_others(
    answering_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(answering_run, tmp_path / "run", symlinks=True)
    assert main(["finetune", "--system", "warm_start", "--resume", "--run", str(folder)]) == 2
    assert "warm_start has no checkpoint to resume from" in capsys.readouterr().err
    run = Run.open(folder)
    before = {path: path.stat().st_mtime_ns for path in (folder / "finetune").rglob("*.safetensors")}
    assert main(["finetune", "--system", "all", "--resume", "--run", str(folder)]) == 0
    assert all(stages.get(system.stage).is_current(run) for system in SYSTEMS.values())
    assert {path: path.stat().st_mtime_ns for path in before} == before, "realm and bm25 were finished"
