"""metrics.jsonl: one JSON object per line, each with the step it belongs to."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from openrealm import files

FILE = "metrics.jsonl"
Number = float | int | str


def finite(row: Mapping[str, Number]) -> dict[str, Number]:
    """`row` without NaN and infinities, which JSON cannot represent."""
    return {key: value for key, value in row.items() if not isinstance(value, float) or math.isfinite(value)}


def plain(row: Mapping[str, Number]) -> dict[str, Number]:
    """`finite(row)` with floats rounded to 6 significant digits."""
    return {key: _short(value) for key, value in finite(row).items()}


def append(folder: Path, step: int, row: Mapping[str, Number]) -> None:
    """Append `row`, measured at `step`, to the metrics of `folder`."""
    files.append_line(folder / FILE, json.dumps({"step": step} | plain(row), allow_nan=False))


def start_over(folder: Path) -> None:
    """Delete the metrics of an earlier training."""
    (folder / FILE).unlink(missing_ok=True)


def _short(value: Number) -> Number:
    return float(f"{value:.6g}") if isinstance(value, float) else value
