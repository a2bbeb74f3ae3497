"""The benchmark of truncation: end to end on the toy run, and its figures on a case worked out by hand."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture(scope="module")
def truncation(load: Callable[[str], ModuleType]) -> ModuleType:
    """bench/truncation.py as a module."""
    return load("truncation")


def test_the_figures_match_a_calculation_by_hand(truncation: ModuleType) -> None:
    """Null, good and bad passage with p = 1/2, 1/4, 1/4 and p(y|z,x) = 1/2, 1, 1/4; the lowest-scored is cut off."""
    query = truncation.Query(
        torch.tensor([2.0, 1.0, 1.0], dtype=torch.float64).log(),
        torch.tensor([0.5, 1.0, 0.25], dtype=torch.float64).log(),
        torch.eye(3, dtype=torch.float64),
        0.0,
    )
    found = truncation.bias([query], 2)
    # Over all: p(y|x) = 9/16, r = (4/9, 4/9, 1/9) - (1/2, 1/4, 1/4).
    # Over two: p(y|x) = 2/3, r = (1/2, 1/2) - (2/3, 1/3).
    assert found.value == pytest.approx(math.log((2 / 3) / (9 / 16)))
    assert found.absolute == pytest.approx(abs(found.value))
    assert found.mass == pytest.approx(0.75)
    exact, cut = (-1 / 18, 7 / 36, -5 / 36), (-1 / 6, 1 / 6, 0.0)
    error = math.dist(exact, cut) / math.hypot(*exact)
    assert (found.signal_error, found.query_error) == pytest.approx((error, error))
    whole = truncation.bias([query], 3)
    assert (whole.value, whole.signal_error, whole.mass) == pytest.approx((0, 0, 1), abs=1e-12)


def test_a_run_gives_a_table_a_figure_and_the_json_line(answering_run: Path, tmp_path: Path) -> None:
    command = [sys.executable, BENCH / "truncation.py", "--quick", "--threads", "1", "--run", answering_run]
    done = subprocess.run([*command, "--out", tmp_path], capture_output=True, text=True, check=True)
    (figure,) = json.loads(done.stdout.splitlines()[-1])
    assert "k = 4" in figure["figure"], "the toy run trains with four candidates"
    assert figure["value"] >= 0
    page = (tmp_path / "truncation.md").read_text()
    rows = [line.split("|")[1:-1] for line in page.replace("\\|", "/").splitlines() if line.startswith("| ")][1:]
    assert [int(row[0]) for row in rows] == [1, 2, 4, 8, 16, 32]
    assert [float(row[1]) for row in rows] == sorted(float(row[1]) for row in rows)
    assert (float(rows[-1][1]), float(rows[-1][3]), rows[-1][4].strip()) == (1.0, 0.0, "0%")
    assert rows[0][4].strip() == "100%", "the null passage alone has no gradient"
    has_picture = importlib.util.find_spec("matplotlib") is not None
    assert (tmp_path / "truncation.svg").exists() == has_picture == ("truncation.svg" in page)
    assert has_picture or "matplotlib is not installed" in done.stdout


def test_without_a_run_it_says_so_and_still_prints_the_json_line(tmp_path: Path) -> None:
    command = [sys.executable, BENCH / "truncation.py", "--quick", "--run", tmp_path / "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "none is not a run" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])[0]["value"] is None
