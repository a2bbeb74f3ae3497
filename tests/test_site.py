"""The documentation builds as a site, without a warning, and its pages load nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("material", reason="mkdocs-material is not installed (extra docs)")
pytest.importorskip("mkdocstrings_handlers.python", reason="mkdocstrings is not installed (extra docs)")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def pages(site: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(site.rglob("*.html")):
        yield str(path.relative_to(site)), path.read_text()


def test_pages_load_nothing_from_elsewhere_and_name_no_folder_of_this_machine(site: Path) -> None:
    loads = r"""<(?:script|img|iframe)[^>]*src=["']?https?:|<link[^>]*rel=["']?(?:stylesheet|preconnect)[^>]*https?:"""
    assert [(name, found) for name, text in pages(site) for found in re.findall(loads, text)] == []
    assert [name for name, text in pages(site) if str(ROOT) in text or str(Path.home()) + "/" in text] == []


def test_links_between_pages_lead_somewhere(site: Path) -> None:
    broken = []
    for name, text in pages(site):
        for target in re.findall(r"""<(?:a|img)[^>]*(?:href|src)=["']([^"'#:?]+)["'#]""", text):
            place = site / target.removeprefix("/") if target.startswith("/") else (site / name).parent / target
            if not place.exists():
                broken.append((name, target))
    assert broken == []


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    import openrealm

    text = (site / "api.html").read_text()
    missing = [n for n in openrealm.__all__ if n not in {"__version__", "tasks"} and not re.search(rf"\b{n}\b", text)]
    assert missing == []
    assert "<code>num_steps</code>" in text, "columns of names and meanings are tables"


def test_docstrings_become_markdown() -> None:
    spec = importlib.util.spec_from_file_location("columns", ROOT / "docs" / "mkdocs" / "columns.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    docstring = "Sum.\n\na    one\nbcd  two\n     lines | more\n\n>>> 1 + 1\n2"
    table = "| | |\n|---|---|\n| `a` | one |\n| `bcd` | two lines \\| more |"
    assert module.as_markdown(docstring) == f"Sum.\n\n{table}\n\n```pycon\n>>> 1 + 1\n2\n```"
