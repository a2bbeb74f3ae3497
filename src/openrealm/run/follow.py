"""A run as it is now, read while another process writes it: nothing is locked, and no half-written line is returned."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openrealm import files
from openrealm.errors import DamagedArtefact, MissingStage
from openrealm.run import stages
from openrealm.run.folder import Run
from openrealm.run.retrieved import HELDOUT, PROGRESS, RETRIEVED
from openrealm.run.stages import Stage
from openrealm.stored import parsed
from openrealm.train import metrics

_NUM_PROOF_BYTES = 200


@dataclass(frozen=True)
class Part:
    """What a file of rows has after a cursor.

    rows      the new rows, in order
    cursor    where they end; to be given back for the next part
    is_reset  whether the file was cut or replaced since, so that these are all of its rows
    """

    rows: list[dict[str, Any]]
    cursor: str
    is_reset: bool


def read_part(path: Path, cursor: str = "") -> Part:
    """The complete lines of a JSONL file after `cursor`, which an earlier call returned; "" reads from the beginning.

    A cursor holds the digest of the bytes before it, so that a file that was cut and written again, as on resume, is
    recognised. Lines that are not JSON objects are left out; a missing file has no rows.
    """
    given, _, proof = cursor.partition("-")
    offset = int(given) if given.isascii() and given.isdecimal() and len(given) < 16 else 0
    try:
        with path.open("rb") as handle:
            if offset and _proof(handle.fileno(), offset) != proof:
                offset = 0
            is_reset = bool(cursor) and not offset
            handle.seek(offset)
            data = handle.read()
            end = offset + data.rfind(b"\n") + 1
            lines = data[: end - offset].splitlines()
            new_cursor = f"{end}-{_proof(handle.fileno(), end)}" if end else ""
    except FileNotFoundError:
        return Part([], "", bool(cursor))
    return Part([row for line in lines if (row := _row(line)) is not None], new_cursor, is_reset)


def _proof(descriptor: int, offset: int) -> str:
    """The digest of the last bytes before `offset`; of fewer if the file is shorter."""
    start = max(0, offset - _NUM_PROOF_BYTES)
    return hashlib.sha256(os.pread(descriptor, offset - start, start)).hexdigest()[:16]


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        value = parsed(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def trainings(run: Run) -> dict[str, Path]:
    """The files of rows that trainings have written so far: `STAGE/metrics` and `STAGE/progress`."""
    found = {}
    for stage in stages.STAGES:
        for name in (metrics.FILE, PROGRESS) if stage.checkpoints else ():
            if (path := stage.folder(run) / name).exists():
                found[f"{stage.name}/{path.stem}"] = path
    return found


def state(run: Run) -> dict[str, Any]:
    """The stages that were started, with `state` "finished", "running" or "interrupted", and what has changed.

    `report` and `queries` are digests that change with the report and with what was retrieved for held-out queries.
    """
    is_written = is_being_written(run.folder)
    records = {stage.name: record for stage in stages.STAGES if (record := _record(run, stage))}
    shown = [
        {
            "name": stage.name,
            "title": stage.title,
            "seconds": records[stage.name].get("seconds", 0.0),
            "state": _state_of(records[stage.name], is_written),
        }
        for stage in stages.STAGES
        if stage.name in records
    ]
    folder = stages.get("pretrain").folder(run)
    return {
        "name": run.config.name,
        "stages": shown,
        "has_report": run.report.exists(),
        "report": _stamp(run.report),
        "queries": _stamp(folder / HELDOUT) + _stamp(folder / RETRIEVED),
    }


def _record(run: Run, stage: Stage) -> Mapping[str, Any]:
    try:
        return run.record(stage.name)
    except (DamagedArtefact, MissingStage):  # removed just now, or damaged; its stage will say so
        return {}


def _state_of(record: Mapping[str, Any], is_written: bool) -> str:
    if record["finished"]:
        return "finished"
    return "running" if is_written else "interrupted"


def is_being_written(folder: Path) -> bool:
    """Whether the process of this machine that locked a run last is alive. The lock itself is not touched."""
    try:
        owner = int((folder / ".lock").read_text(errors="replace"))
    except (OSError, ValueError):
        return False
    try:
        os.kill(owner, 0)
    except PermissionError:  # it is another user's
        return True
    except (OSError, OverflowError):
        return False
    return True


def _stamp(path: Path) -> str:
    """Changes whenever the file does."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_ino:x}.{found.st_size:x}.{found.st_mtime_ns:x}"


def latest_run(folder: Path) -> Path:
    """The run below `folder` that a stage of was started or finished last. Raises MissingStage if there is none."""
    runs = [path.parent for path in folder.glob("*/config.json")]
    if not runs:
        raise MissingStage(
            f"{folder.absolute()} has no run; start one with `openrealm run FOLDER`, or give a run's folder."
        )
    return max(runs, key=lambda run: max(path.stat().st_mtime for path in (run / "config.json", *run.glob("stages/*"))))


def report_of(run: Run) -> dict[str, Any]:
    """The run's last report; empty if there is none that can be read."""
    try:
        return files.read_json(run.report, dict[str, Any])
    except (DamagedArtefact, MissingStage):
        return {}
