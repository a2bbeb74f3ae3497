"""What answers while a run is rebuilt: its finished systems as they were, linked aside before anything is changed.

The links share the files of the run, so that they take no space until the run has replaced them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from openrealm import files
from openrealm.errors import OpenRealmError
from openrealm.progress import say
from openrealm.run import stages
from openrealm.run.folder import Run
from openrealm.run.stages import Stage
from openrealm.run.systems import SYSTEMS

T = TypeVar("T")

_FOLDER = ".previous"
# What `serve.Answerer` opens, and what the keys of its stages are computed from.
_FILES = (
    "config.json",
    "stages/*.json",
    "questions.json",
    "corpus/*",
    "index/versions/*/*",
    "*/model/*",
    "finetune/*/model/*",
    "finetune/*/outcome.json",
)
_ATTEMPTS = 5


def keep(folder: Path) -> None:
    """Link the systems of a run aside if one can answer; those kept before stay otherwise."""
    if (folder / "config.json").exists() and _answering(Run.open(folder)):
        files.link_folder(folder, folder / _FOLDER, _FILES)


def drop(folder: Path) -> None:
    """Remove what was kept once the run itself can answer: with REALM or, if that was not kept, as before."""
    if (folder / _FOLDER).exists():
        own, kept = _answering(Run.open(folder)), _answering(Run.open(folder / _FOLDER))
        if own >= (kept & {"realm"} or kept):
            files.remove_folder(folder / _FOLDER)


def _answering(run: Run) -> set[str]:
    """The systems that can answer."""
    readers = (system for system in SYSTEMS.values() if system.reads_passages)
    return {system.name for system in readers if _is_current(run, stages.get(system.stage))}


def _is_current(run: Run, stage: Stage) -> bool:
    try:
        return stage.is_current(run)
    except OpenRealmError:  # a damaged file, which must not keep the stage from being run again
        return False


def answering(folder: Path, stage: Stage) -> Run:
    """The run in `folder`, or what was kept of it if its own system cannot answer; errors are left to who opens it."""
    run = Run.open(folder)
    if (folder / _FOLDER / "config.json").exists() and not _is_current(run, stage):
        kept = Run.open(folder / _FOLDER)
        if _is_current(kept, stage):
            return kept
    return run


def opened(folder: Path, stage: Stage, open_run: Callable[[Run], T]) -> T:
    """`open_run` of the run that answers now; once more if the run was changed while it was opened."""
    for attempt in range(1, _ATTEMPTS + 1):
        before = _state(folder)
        try:
            run = answering(folder, stage)
            result = open_run(run)
        except (OpenRealmError, FileNotFoundError):
            if attempt == _ATTEMPTS or _state(folder) == before:
                raise
        else:
            if run.folder != folder:
                say(f"{folder} is being rebuilt or has other settings now; the system before that answers.")
            return result
    raise AssertionError("unreachable")


def _state(folder: Path) -> list[tuple[str, int, int]]:
    """Changes whenever an artefact, a record or the configuration is replaced."""
    patterns = ("config.json", "stages", "stages/*", "corpus", "index/versions", "finetune/*", _FOLDER)
    paths = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return [(path.name, stat.st_ino, stat.st_mtime_ns) for path in paths if (stat := _stat(path))]


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
