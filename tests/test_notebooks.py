"""The notebooks of the documentation run, and are stored with the outputs of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="the package nbformat is not installed (extra dev)")
nbclient = pytest.importorskip("nbclient", reason="the package nbclient is not installed (extra dev)")

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def num_figures(notebook: Any) -> list[int]:
    """The number of pictures below each code cell."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [sum("image/png" in output.get("data", {}) for output in cell.outputs) for cell in cells]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_draws_what_is_stored(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    stored = nbformat.read(path, as_version=4)
    assert sum(num_figures(stored)) > 0
    assert "/tmp/" not in path.read_text()
    fresh = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(fresh, timeout=280, kernel_name="python3", resources=place).execute()
    assert num_figures(fresh) == num_figures(stored)
