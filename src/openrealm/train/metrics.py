"""metrics.jsonl: one JSON object per line, each with the step it belongs to."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from openrealm import files
from openrealm.errors import DamagedArtefact
from openrealm.stored import read_as

FILE = "metrics.jsonl"
Number = float | int | str
Row = dict[str, Number]


def finite(row: Mapping[str, Number]) -> dict[str, Number]:
    """`row` without NaN and infinities, which JSON cannot represent."""
    return {key: value for key, value in row.items() if not isinstance(value, float) or math.isfinite(value)}


def plain(row: Mapping[str, Number]) -> dict[str, Number]:
    """`finite(row)` with floats rounded to 6 significant digits."""
    return {key: _short(value) for key, value in finite(row).items()}


def append(folder: Path, step: int, row: Mapping[str, Number]) -> None:
    """Append `row`, measured at `step`, to the metrics of `folder`."""
    files.append_line(folder / FILE, json.dumps({"step": step} | plain(row), allow_nan=False))


def read(folder: Path, name: str = FILE) -> list[Row]:
    """All rows of a file in the format of metrics.jsonl. Raises DamagedArtefact naming the file and the line."""
    path = folder / name
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [read_as(Row, line, f"{path}:{number}") for number, line in enumerate(lines, 1)]


def digest(folder: Path) -> str:
    """SHA-256 of the metrics so far, by which `keep` recognises them."""
    path = folder / FILE
    return files.sha256_file(path) if path.exists() else files.sha256_bytes(b"")


def keep(folder: Path, num_rows: int, sha256: str) -> None:
    """Drop what was logged after a checkpoint, which had `num_rows` rows with this digest.

    Raises DamagedArtefact if the rows before it are not the same any more.
    """
    path = folder / FILE
    files.truncate_lines(path, num_rows)
    if digest(folder) != sha256:
        raise DamagedArtefact(f"{path} has changed since the checkpoint; restore it, or start over without resume.")


def start_over(folder: Path) -> None:
    """Delete the metrics of an earlier training."""
    (folder / FILE).unlink(missing_ok=True)


def _short(value: Number) -> Number:
    return float(f"{value:.6g}") if isinstance(value, float) else value
