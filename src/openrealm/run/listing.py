"""The runs below a folder such as runs/: what each of them is, how they compare, and how one is deleted."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

from typing_extensions import TypedDict

from openrealm import files
from openrealm.config import Config
from openrealm.errors import BadInput, OpenRealmError
from openrealm.run import best, previous
from openrealm.run.folder import Run
from openrealm.run.stages import STAGES
from openrealm.run.systems import SYSTEMS
from openrealm.section import known_settings, written

DOCUMENTS = "documents"
"""The folder below runs/ where `openrealm ask --corpus` keeps corpora and indexes."""
_MEASURES = ("recall@1", "recall@5", "em", "f1")


class Figures(TypedDict):
    """How a run answers its held-out questions of one kind; shares, None where they were not measured."""

    kind: str
    questions: int
    system: str
    measures: dict[str, float | None]


class Entry(TypedDict):
    """A run, or documents that were asked without one.

    state    in words, such as "can be asked" or "stopped in pre-training"
    source   what the corpus was built from
    figures  one entry for each kind of question that it was measured with
    seconds  time that its stages took
    changed  when a stage last wrote to it: date and time with the offset from UTC
    """

    name: str
    folder: str
    kind: Literal["run", "documents"]
    state: str
    source: str | None
    figures: list[Figures]
    seconds: float
    num_bytes: int
    changed: str


class Comparison(TypedDict):
    """Runs side by side: the settings in which they differ, each with a value for every run."""

    runs: list[Entry]
    settings: dict[str, list[Any]]


def entries(folder: Path) -> list[Entry]:
    """The runs in `folder` and the documents in its folder "documents", those last changed first."""
    runs = [entry(path.parent) for path in folder.glob("*/config.json")]
    documents = [entry(path.parent.parent) for path in (folder / DOCUMENTS).glob(f"*/corpus/{files.MANIFEST}")]
    return sorted([*runs, *documents], key=lambda found: found["changed"], reverse=True)


def entry(folder: Path) -> Entry:
    """What is known of a run or of documents. Raises BadInput if `folder` is neither."""
    kind = _kind(folder)
    found: Entry = {
        "name": folder.name if kind == "run" else f"{DOCUMENTS}/{folder.name}",
        "folder": str(folder),
        "kind": kind,
        "state": "can be asked",
        "source": None,
        "figures": [],
        "seconds": 0.0,
        "num_bytes": _num_bytes(folder),
        "changed": _changed(folder, kind),
    }
    writer = files.writer_of(folder)
    try:
        if kind == "run":
            run = Run.open(folder)
            timings = run.timings()
            found |= {
                "source": run.config.corpus.source,
                "state": _state(run),
                "figures": _figures(run),
                "seconds": sum(timings["seconds"].values()),
            }
        else:
            source = files.read_manifest(folder / "corpus", verify=False).get("source", {})
            found["source"] = source.get("path") or source.get("name")
    except OpenRealmError as error:
        found["state"] = f"damaged: {error}"
    if writer is not None:
        found["state"] = f"being written by process {writer}"
    return found


def compare(folders: Sequence[Path]) -> Comparison:
    """Runs side by side, in the given order. Raises BadInput for what is no run, and for fewer than two."""
    if len(folders) < 2:
        raise BadInput("A comparison needs at least two runs; give their names.")
    if wrong := [folder for folder in folders if _kind(folder) != "run"]:
        raise BadInput(f"{wrong[0]} holds documents that were asked without a run; give runs to compare.")
    configs = [Run.open(folder).config for folder in folders]
    settings = {}
    for key in known_settings(Config):
        values = [written(attrgetter(key)(config)) for config in configs]
        if key != "name" and len(set(values)) > 1:
            settings[key] = values
    return {"runs": [entry(folder) for folder in folders], "settings": settings}


def delete(folder: Path) -> None:
    """Delete a run, or documents that were asked without one, with everything that belongs to it.

    Raises BadInput if `folder` is neither, Busy if another process writes to it.
    """
    _kind(folder)
    with files.sole_writer(folder):
        files.remove_folder(folder)


def _kind(folder: Path) -> Literal["run", "documents"]:
    if (folder / "config.json").is_file() and (folder / "stages").is_dir():
        return "run"
    if folder.parent.name == DOCUMENTS and (folder / "corpus" / files.MANIFEST).is_file():
        return "documents"
    raise BadInput(f"{folder} is not a run; `openrealm runs` lists those that there are.")


def _state(run: Run) -> str:
    stage = previous.answering_stage(run.folder)
    if stage.is_finished(previous.readable(run.folder, stage)):
        return "can be asked"
    recorded = [stage for stage in STAGES if run.record(stage.name)]
    if stopped := [stage for stage in recorded if not stage.is_finished(run)]:
        return f"stopped in {stopped[0].title}"
    return f"{recorded[-1].title} finished" if recorded else "no stage has been run"


def _figures(run: Run) -> list[Figures]:
    """The figures of what answers, as the last report has them."""
    if not run.report.exists():
        return []
    report = files.read_json(run.report, dict[str, Any], "run `openrealm evaluate` again")
    if chosen := report.get("best"):
        name = chosen["system"]
        return [
            _measured(kind, of["questions"], best.TITLES.get(name, name), of["systems"][name])
            for kind, of in chosen["measured"].items()
        ]
    name = "realm"
    values = report.get("systems", {}).get(name)
    return [] if values is None else [_measured("questions", report["questions"], SYSTEMS[name].title, values)]


def _measured(kind: str, num_questions: int, system: str, values: Mapping[str, Any]) -> Figures:
    measures = {name: values.get(name) for name in _MEASURES}
    return {"kind": kind, "questions": num_questions, "system": system, "measures": measures}


def _num_bytes(folder: Path) -> int:
    """Space that the files take; a file with several names counts once."""
    sizes = {}
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a run that is at work removes files
            stat = path.lstat()
            sizes[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(sizes.values())


def _changed(folder: Path, kind: str) -> str:
    marks = folder.glob("stages/*.json" if kind == "run" else f"*/{files.MANIFEST}")
    latest = max(path.stat().st_mtime for path in (folder, *marks) if path.exists())
    return datetime.datetime.fromtimestamp(latest).astimezone().isoformat(timespec="seconds")
