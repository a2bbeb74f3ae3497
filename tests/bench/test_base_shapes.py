"""The benchmark of shapes: its page for given figures, and a small shape that is really measured."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from openrealm.engine import Engine
from openrealm.types import Article

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture(scope="module")
def shapes(load: Callable[[str], ModuleType]) -> ModuleType:
    """bench/base_shapes.py as a module."""
    return load("base_shapes")


def test_the_page_has_a_row_for_every_shape_and_the_peer(shapes: ModuleType) -> None:
    shape = shapes.Shape(4, 256, 4, 768, 16_000)
    figures = [
        shapes.rate("embedding", "passages/s", 100, [0.5, 0.5], shapes._PEER, [2.0, 2.0], "6.9 million weights"),
        shapes.duration("joint", [0.4, 0.4], shapes._PEER, [2.0, 2.0]),
    ]
    row = {"accuracy_alone": 0.05, "accuracy_related": 0.3, "accuracy_own": 0.8, "steps": 120}
    given = Namespace(source="/texts/wiki.jsonl", articles=50, seconds=3.0)
    lines = shapes.table((shape,), figures, {shape: row}, given).splitlines()
    assert "| 4 x 256 (768), 16,000 | 6.9 M | 200 | 4.0 | 0.40 | 5.0 | 120 | 5.0% | 30.0% | 80.0% |" in lines
    assert f"| {shapes._PEER} | 22.6 M | 50 | 1 | 2.00 | 1 | | | | |" in lines
    assert not any("/texts" in line for line in lines), "paths of this machine must not appear"


def test_a_shape_is_trained_for_the_given_time_and_evaluated(
    shapes: ModuleType, tmp_path: Path, toy_articles: list[Article], one_thread: None
) -> None:

    source = tmp_path / "toy.jsonl"
    source.write_text("".join(json.dumps({"id": a.id, "title": a.title, "text": a.text}) + "\n" for a in toy_articles))
    given = Namespace(source=str(source), articles=49, seconds=0.5, quick=True)
    shape = shapes.Shape(2, 32, 2, 64, 300)
    row, tokenizer, num_weights = shapes.trained(shape, given, tmp_path / "made", Engine("cpu", False))
    assert row["steps"] > 0
    assert {"accuracy_alone", "accuracy_related", "accuracy_own"} <= set(row)
    assert tokenizer.vocab_size <= 300
    assert num_weights > 300 * 32
