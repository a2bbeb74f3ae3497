"""docs/cli.md is generated from the commands, and complete."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from openrealm.cli.main import COMMANDS
from openrealm.cli.reference import reference
from openrealm.recipes.catalogue import RECIPES

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == reference(), "a command or its help changed; run: make docs"


def test_every_command_and_option_is_explained() -> None:
    text = reference()
    for section in COMMANDS.values():
        assert all(f"### `openrealm {name}" in text for name in section)
    for subcommand in ("corpus build", "corpus inspect", "base train", "qa train", "tagger train"):
        assert f"### `openrealm {subcommand}`\n" in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert all(re.fullmatch(r"\| `[^`]+` \| \S.{8,} \|", row) for row in rows)


def test_the_options_name_every_recipe() -> None:
    (row, *_) = [line for line in reference().splitlines() if line.startswith("| `--recipe") and "small" in line]
    assert all(name in row for name in RECIPES)


def test_it_is_written_without_torch_whatever_the_width_of_the_terminal(tmp_path: Path) -> None:
    program = (
        "import runpy, sys; runpy.run_module('openrealm.cli.reference', run_name='__main__'); "
        "assert not {'torch', 'numpy', 'rich'} & set(sys.modules)"
    )
    for columns in ("40", "300"):
        path = tmp_path / f"{columns}.md"
        subprocess.run(
            [sys.executable, "-c", program, str(path)], env={"COLUMNS": columns, **_environment()}, check=True
        )
    assert (tmp_path / "40.md").read_text() == (tmp_path / "300.md").read_text() == DOCUMENT.read_text()


def _environment() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if name != "COLUMNS"}
