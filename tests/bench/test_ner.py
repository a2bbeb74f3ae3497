from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "ner"


def test_with_quick_it_writes_a_page_with_every_file(tmp_path: Path) -> None:
    if not DATA.is_dir():
        pytest.skip(f"needs annotated names in {DATA}")
    command = [
        sys.executable,
        ROOT / "bench" / "ner.py",
        "--quick",
        "--threads",
        "1",
        "--data",
        DATA,
        "--out",
        tmp_path,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert len(figures) == 3
    assert all(0 < figure["value"] < 100 for figure in figures)
    assert (tmp_path / "ner.md").read_text().count("| rules |") == 3
