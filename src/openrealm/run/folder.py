"""A run's folder: where each stage's output lies, the settings it was made with, and a record of every stage."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openrealm import files, interrupt
from openrealm.config import Config
from openrealm.corpus.builder import is_begun, unfinished
from openrealm.errors import BadConfig, BadInput, Busy, Mismatch, MissingStage, NotInstalled, OpenRealmError
from openrealm.memory import peak_memory_bytes, reset_peak

SYSTEMS = ("closed_book", "bm25", "warm_start", "realm")
# Errors that come before a stage has changed anything: the run is put back to what it was.
_MISTAKES = (BadConfig, BadInput, Mismatch, MissingStage, NotInstalled)


class Run:
    """Paths and records of one run. Nothing is read until it is asked for."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder, self.config = folder, config
        self.config_file = folder / "config.json"
        self.corpus = folder / "corpus"
        self.questions = folder / "questions.json"
        self.warm_start = folder / "warm-start"
        self.index = folder / "index"
        self.matches = folder / "matches"
        self.pretrain = folder / "pretrain"
        self.frozen = folder / "frozen"
        self.finetune = folder / "finetune"
        self.evaluate = folder / "evaluate"
        self.report = folder / "report.json"
        self.records = folder / "stages"

    @classmethod
    def open(cls, folder: Path) -> Run:
        """An existing run. Raises MissingStage where there is none."""
        if not (folder / "config.json").exists():
            raise MissingStage(
                f"{folder} is no run (it has no config.json); "
                "start one with `openrealm quickstart` or `openrealm run FOLDER`."
            )
        return cls(folder, Config.from_dict(files.read_json(folder / "config.json")))

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the run, alone, while its stages write; the configuration is written down first.

        A user's mistake leaves things as they were: a run that has no finished stage yet is removed again, an
        older one gets its configuration back. One whose corpus was begun stays, to be gone on with.
        """
        new = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        try:
            with files.sole_writer(self.folder):
                yield from self._configured()
        except Busy:
            raise
        except BaseException:
            if new and not self._has_finished_stage() and not is_begun(self.corpus):
                _remove(new)
            raise

    def _configured(self) -> Iterator[None]:
        before = self.config_file.read_bytes() if self.config_file.exists() else None
        try:
            files.write_json(self.config_file, self.config.to_dict())
            yield
        except _MISTAKES:
            if before is not None:
                files.write_bytes(self.config_file, before)
            raise

    def with_config(self, config: Config) -> Run:
        """The same run, being written, with another configuration."""
        files.write_json(self.config_file, config.to_dict())
        return Run(self.folder, config)

    @contextlib.contextmanager
    def stage(self, name: str, key: str, *, resumed: bool = False) -> Iterator[None]:
        """Write down that the stage of this key was begun, and afterwards whether it finished and what it took.

        key      digest of everything that decides the stage's output (see `run.keys`)
        resumed  the seconds of the part done before count too
        """
        interrupt.check()
        before = self.record(name)
        spent = before.get("seconds", 0.0) if resumed else 0.0
        record = {"key": key, "finished": False, "seconds": spent, "peak_memory_bytes": 0}
        files.write_json(self._record_file(name), record)
        reset_peak()
        started = time.monotonic()
        try:
            yield
        except _MISTAKES:
            if before:
                files.write_json(self._record_file(name), before)
            raise
        except BaseException:
            with contextlib.suppress(OpenRealmError, OSError):  # the first error is the one to tell
                self._end(name, record, started)
            raise
        self._end(name, record | {"finished": True}, started)

    def _end(self, name: str, record: dict[str, Any], started: float) -> None:
        seconds = round(record["seconds"] + time.monotonic() - started, 1)
        files.write_json(
            self._record_file(name), record | {"seconds": seconds, "peak_memory_bytes": peak_memory_bytes()}
        )

    def record(self, name: str) -> dict[str, Any]:
        """What is written down of a stage: key, finished, seconds, peak_memory_bytes; empty before its first start."""
        path = self._record_file(name)
        found: dict[str, Any] = files.read_json(path) if path.exists() else {}
        return found

    def is_finished(self, name: str, key: str | None = None) -> bool:
        """Whether a stage is through and its output there; with a `key`, whether it was made under that key."""
        record = self.record(name)
        return bool(record.get("finished")) and key in (None, record["key"]) and self.output(name).exists()

    def was_begun(self, name: str, key: str) -> bool:
        """Whether a stage was started under this key and did not come to its end."""
        record = self.record(name)
        return record.get("key") == key and not record.get("finished")

    def output(self, name: str) -> Path:
        """What is there when a stage has finished: the manifest of what it published, or its file."""
        if name.startswith("finetune_"):
            return self.finetune / name.removeprefix("finetune_") / "model" / files.MANIFEST
        return {
            "corpus": self.corpus / files.MANIFEST,
            "questions": self.questions,
            "warm_start": self.warm_start / "model" / files.MANIFEST,
            "pretrain": self.pretrain / "model" / files.MANIFEST,
            "frozen_towers": self.frozen / "model" / files.MANIFEST,
            "evaluate": self.report,
        }.get(name, self.index)

    def timings(self) -> dict[str, Any]:
        """{"seconds": {stage: seconds}, "peak_memory_bytes": ...} as far as the run has come."""
        records = {path.stem: files.read_json(path) for path in self.records.glob("*.json")}
        in_order = sorted(records, key=lambda name: self._record_file(name).stat().st_mtime)
        peaks = [record["peak_memory_bytes"] for record in records.values()]
        seconds = {name: records[name]["seconds"] for name in in_order}
        return {"seconds": seconds, "peak_memory_bytes": max(peaks, default=0)}

    def forget(self) -> None:
        """Remove what every stage left; config.json stays."""
        for folder in (self.records, self.corpus, self.warm_start, self.index, self.pretrain, self.frozen):
            files.remove_folder(folder)
        for folder in (unfinished(self.corpus), self.finetune, self.evaluate, self.matches):
            files.remove_folder(folder)
        for path in (self.questions, self.report, self.report.with_suffix(".html")):
            path.unlink(missing_ok=True)

    def _record_file(self, name: str) -> Path:
        return self.records / f"{name}.json"

    def _has_finished_stage(self) -> bool:
        return any(self.is_finished(path.stem) for path in self.records.glob("*.json"))


def _remove(new: list[Path]) -> None:
    """Remove a run's folder, and the empty folders that were made to hold it."""
    files.remove_folder(new[0])
    for parent in new[1:]:
        with contextlib.suppress(OSError):
            parent.rmdir()
