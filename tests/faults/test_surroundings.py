"""The commands in real processes where their surroundings are odd: modules in the working directory, links, signals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from openrealm.config import Config
from openrealm.types import Article

# The command `openrealm` as pip installs it, with small shards, so that the builder starts its workers.
PROGRAM = """
import sys
from openrealm.cli.main import main
from openrealm.corpus import builder
builder._SHARD_CHARACTERS = 2000
sys.exit(main())
"""


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command as a script in a folder of its own."""
    path = tmp_path_factory.mktemp("bin") / "openrealm"
    path.write_text(PROGRAM)
    return path


@pytest.fixture
def started(program: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command to its end, by default in the folder of the test."""

    def run(*words: str, cwd: Path = tmp_path, **env: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(program), *words]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=os.environ | env)

    return run


@pytest.fixture
def settings(toy_config: Callable[..., Config], as_settings: Callable[[Config], list[str]]) -> list[str]:
    """The toy settings, with two processes that build the corpus."""
    return as_settings(toy_config("num_threads=2"))


@pytest.fixture
def toy_source(tmp_path: Path, toy_articles: list[Article]) -> Path:
    path = tmp_path / "toy.jsonl"
    path.write_text("".join(json.dumps({"id": a.id, "title": a.title, "text": a.text}) + "\n" for a in toy_articles))
    return path


def test_no_process_of_a_build_runs_code_of_the_working_directory(
    started: Callable[..., subprocess.CompletedProcess[str]],
    settings: list[str],
    toy_source: Path,
    planted_folder: Path,
    tmp_path: Path,
) -> None:
    """The command itself and its two workers."""
    done = started("corpus", "--source", str(toy_source), "--run", str(tmp_path / "run"), *settings, cwd=planted_folder)
    assert done.returncode == 0, done.stderr
