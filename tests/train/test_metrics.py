"""metrics.jsonl is valid JSON whatever the values."""

from __future__ import annotations

import json
import math
from pathlib import Path

from openrealm.train import metrics


def refuse(constant: str) -> float:
    raise AssertionError(f"{constant} is not JSON")


def test_numbers_that_json_cannot_represent_are_omitted(tmp_path: Path) -> None:
    row = {"loss": 1.23456789, "norm": 1.23456789e-9, "index": "0001-ab", "count": 3}
    row |= {"nan": math.nan, "up": math.inf, "down": -math.inf}
    metrics.append(tmp_path, 7, row)
    metrics.append(tmp_path, 8, {})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line, parse_constant=refuse) for line in lines] == [
        {"step": 7, "loss": 1.23457, "norm": 1.23457e-09, "index": "0001-ab", "count": 3},
        {"step": 8},
    ]


def test_starting_over_deletes_earlier_metrics(tmp_path: Path) -> None:
    metrics.start_over(tmp_path)
    metrics.append(tmp_path, 1, {"loss": 1.0})
    metrics.start_over(tmp_path)
    assert not (tmp_path / "metrics.jsonl").exists()
