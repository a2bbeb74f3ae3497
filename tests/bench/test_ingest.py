from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "docs"
PAGE = """# Guide { #guide }

/// tip | Careful

The water is deep in Hameln. Write `{{ x }}` for it.

///

| Town | Founded |
|------|---------|
| Hoya | 1150    |
"""


def figures_of(data: Path, names: str) -> dict[str, dict[str, Any]]:
    command = [sys.executable, ROOT / "bench" / "ingest.py", "--data", data, "--names", names, "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {figure["figure"]: figure for figure in json.loads(done.stdout.splitlines()[-1])}


def test_markup_is_counted_beside_the_librarys_own(tmp_path: Path) -> None:
    (tmp_path / "guide.md").write_text(PAGE)
    with tarfile.open(tmp_path / "small.tar.xz", "w:xz") as tar:
        tar.add(tmp_path / "guide.md", "small/guide.md")
    figures = figures_of(tmp_path, "small,absent")
    markup = figures["small: passages with markup"]
    assert (markup["value"], markup["peer_value"]) == (0, 100)
    titles = figures["small: titles with markup"]
    assert (titles["value"], titles["peer_value"]) == (0, 1)
    assert figures["small: words lost"]["value"] == figures["small: glued cells"]["value"] == 0
    assert figures["small: read"]["value"] > 0
    assert "absent.tar.xz does not exist" in figures["absent: passages with markup"]["note"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fastapi", "nushell", "rust-book", "pytest"])
def test_less_than_one_percent_of_real_passages_have_markup(name: str) -> None:
    if not DATA.is_dir():
        pytest.skip(f"needs documentation in {DATA}")
    figures = figures_of(DATA, name)
    assert figures[f"{name}: passages with markup"]["value"] < 1
    assert figures[f"{name}: words lost"]["value"] < 0.5
    assert figures[f"{name}: glued cells"]["value"] == 0
