"""metrics.jsonl: one line of plain JSON a step."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from openrealm import files

FILE = "metrics.jsonl"
Number = float | int | str


def plain(row: Mapping[str, Number]) -> dict[str, Number]:
    """`row` with floats at 6 significant digits; NaN and infinities are left out, since JSON has neither."""
    return {key: _short(value) for key, value in row.items() if _finite(value)}


def append(folder: Path, step: int, row: Mapping[str, Number]) -> None:
    """Add the `row` of a step to the metrics of `folder`."""
    files.append_line(folder / FILE, json.dumps({"step": step} | plain(row), allow_nan=False))


def start_over(folder: Path) -> None:
    """Drop the metrics of an earlier run."""
    (folder / FILE).unlink(missing_ok=True)


def _short(value: Number) -> Number:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _finite(value: Number) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
