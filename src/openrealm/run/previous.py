"""What is read while a run is rebuilt: corpus and systems as they were, linked aside before anything is changed.

The links share the files of the run, so that they take no space until the run has replaced them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from openrealm import files
from openrealm.errors import OpenRealmError
from openrealm.progress import warn
from openrealm.run import best, stages
from openrealm.run.folder import Run
from openrealm.run.stages import Stage
from openrealm.run.systems import SYSTEMS

T = TypeVar("T")

_FOLDER = ".previous"
# What `serve.Answerer` and `run.inspection` open, and what the keys of their stages are computed from.
_FILES = (
    "config.json",
    "stages/*.json",
    "questions.json",
    "corpus/*",
    "index/versions/*/*",
    "*/model/*",
    "finetune/*/model/*",
    "finetune/*/outcome.json",
    best.FILE,
)
_ATTEMPTS = 5


def keep(folder: Path) -> None:
    """Link what can be read of a run aside, unless what was kept before can do more."""
    if (folder / "config.json").exists() and (own := _readable(Run.open(folder))) and own >= _needed(folder):
        files.link_folder(folder, folder / _FOLDER, _FILES)


def drop(folder: Path) -> None:
    """Remove what was kept once the run itself can do as much."""
    if (folder / _FOLDER).exists() and _readable(Run.open(folder)) >= _needed(folder):
        files.remove_folder(folder / _FOLDER)


def _needed(folder: Path) -> set[str]:
    """What a run must be able to do before what was kept is given up: what answers by default, or everything."""
    if not (folder / _FOLDER / "config.json").exists():
        return set()
    kept = _readable(Run.open(folder / _FOLDER))
    return kept & {"best"} or kept & {"realm"} or kept


def _readable(run: Run) -> set[str]:
    """The systems that can answer, with "best" if one was chosen, and "corpus" if there is one."""
    readers = {system.name: system.stage for system in SYSTEMS.values() if system.reads_passages}
    readers |= {"best": "evaluate"} if best.is_recorded(run) else {}
    return {name for name, stage in ({"corpus": "corpus"} | readers).items() if _is_usable(run, stages.get(stage))}


def _is_usable(run: Run, stage: Stage) -> bool:
    """Whether what a stage left can be read: a corpus once it is finished, all else only if it is up to date."""
    try:
        return stage.is_finished(run) if stage.name == "corpus" else stage.is_current(run)
    except OpenRealmError:  # a damaged file, which must not keep the stage from being run again
        return False


def readable(folder: Path, stage: Stage) -> Run:
    """The run in `folder`, or what was kept of it if what its own `stage` left cannot be read.

    Errors are left to who opens it.
    """
    run = Run.open(folder)
    if (folder / _FOLDER / "config.json").exists() and not _is_usable(run, stage):
        kept = Run.open(folder / _FOLDER)
        if _is_usable(kept, stage):
            return kept
    return run


def answering_stage(folder: Path) -> Stage:
    """The stage that decides what a run answers with: the evaluation if it compared, else the fine-tuning of REALM."""
    runs = [
        Run.open(folder),
        *([Run.open(kept)] if (kept := folder / _FOLDER).joinpath("config.json").exists() else []),
    ]
    return stages.get("evaluate" if any(map(best.is_recorded, runs)) else SYSTEMS["realm"].stage)


def opened(folder: Path, stage: Stage, open_run: Callable[[Run], T]) -> T:
    """`open_run` of the run that can be read now; once more if the run was changed while it was opened."""
    for attempt in range(1, _ATTEMPTS + 1):
        before = state(folder)
        try:
            run = readable(folder, stage)
            result = open_run(run)
        except (OpenRealmError, FileNotFoundError):
            if attempt == _ATTEMPTS or state(folder) == before:
                raise
        else:
            if run.folder != folder:
                warn(f"{folder} is being rebuilt or has other settings now; what was finished before that is used.")
            return result
    raise AssertionError("unreachable")


def state(folder: Path) -> list[tuple[str, int, int]]:
    """Names, inodes and times of artefacts, records and the configuration: changes whenever one is replaced."""
    patterns = ("config.json", "stages", "stages/*", "corpus", "index/versions", "finetune/*", _FOLDER)
    paths = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return [(path.name, stat.st_ino, stat.st_mtime_ns) for path in paths if (stat := _stat(path))]


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
