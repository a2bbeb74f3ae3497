"""A run's folder: its configuration, its lock, and a record of each stage. Which stages there are: `run.stages`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openrealm import files, interrupt
from openrealm.config import Config
from openrealm.corpus.builder import is_begun
from openrealm.engine import engine_for
from openrealm.errors import BadConfig, BadInput, Busy, Mismatch, MissingStage, NotInstalled, OpenRealmError
from openrealm.memory import peak_memory_bytes, reset_peak
from openrealm.model.weights import backbone_location
from openrealm.registry import TAGGERS

# Errors raised before a stage has written anything: the run is restored to its previous state.
_USER_ERRORS = (BadConfig, BadInput, Mismatch, MissingStage, NotInstalled)


class Run:
    """Paths and records of one run. Nothing is read until it is needed."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder, self.config = folder, config
        self.config_file = folder / "config.json"
        self.records = folder / "stages"
        self.corpus = folder / "corpus"
        self.questions = folder / "questions.json"
        self.index = folder / "index"
        self.matches = folder / "matches"
        self.evaluate = folder / "evaluate"
        self.report = folder / "report.json"
        self._started: dict[str, float] = {}

    @classmethod
    def open(cls, folder: Path) -> Run:
        """An existing run. Raises MissingStage if the folder is not a run."""
        if not (folder / "config.json").exists():
            raise MissingStage(
                f"{folder} is not a run (it has no config.json); "
                "start one with `openrealm quickstart` or `openrealm run FOLDER`."
            )
        return cls(folder, Config.from_dict(files.read_json(folder / "config.json")))

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Lock the run while its stages write. The configuration is checked and saved first.

        After an error, a run without a finished stage is removed, and an existing run gets its configuration back
        unless a stage was finished with the new one or can be resumed with it. A run whose corpus is partly built is
        kept, so that the build can be continued. After Ctrl-C the configuration is that of the stage to continue.
        """
        self._check_settings()
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
        done = self._work_done()
        try:
            files.write_json(self.config_file, self.config.to_dict())
            yield
        except Exception:
            if before is not None and not self._work_done() - done:
                files.write_bytes(self.config_file, before)
            raise

    def _work_done(self) -> set[tuple[str, Any]]:
        """What can be used or continued with the present settings: finished stages, checkpoints and shards."""
        records = {path.stem: files.read_json(path) for path in self.records.glob("*.json")}
        finished = {(name, record["key"]) for name, record in records.items() if record["finished"]}
        saved = [*self.folder.glob("**/checkpoints/*"), *self.folder.glob("*/cut-*")]
        return finished | {(str(path), path.stat().st_mtime_ns) for path in saved}

    def _check_settings(self) -> None:
        """Raise an error if the machine has no such device, or if there is no such encoder or tagger.

        An encoder that the run has used before is not looked for: its stages may not need it any more.
        """
        config = self.config
        if config.device not in ("auto", "cpu"):
            engine_for(config)
        TAGGERS.check(config.corpus.tagger.partition(":")[0], "corpus.tagger")
        if not self.config_file.exists() or Run.open(self.folder).config.model.backbone != config.model.backbone:
            backbone_location(config.model.backbone)

    def with_config(self, config: Config) -> Run:
        """The same run with another configuration, which is saved."""
        files.write_json(self.config_file, config.to_dict())
        return Run(self.folder, config)

    @contextlib.contextmanager
    def recorded(self, name: str, key: str, *, resumed: bool = False) -> Iterator[None]:
        """Record that a stage started, then whether it finished, how long it took and how much memory it used.

        key      digest of everything that decides the stage's output (see `run.stages`)
        resumed  add the seconds to those of the interrupted attempt
        A stage recorded inside another one does not count towards the outer one's seconds.
        """
        interrupt.check()
        before = self.record(name)
        spent = before.get("seconds", 0.0) if resumed else 0.0
        record = {"key": key, "finished": False, "seconds": spent, "peak_memory_bytes": 0}
        files.write_json(self._record_file(name), record)
        reset_peak()
        self._started[name] = time.monotonic()
        try:
            yield
        except _USER_ERRORS:
            self._elapsed(name)
            if before:
                files.write_json(self._record_file(name), before)
            raise
        except BaseException:
            with contextlib.suppress(OpenRealmError, OSError):  # the first error is the one to report
                self._end(name, record)
            raise
        self._end(name, record | {"finished": True})

    def _end(self, name: str, record: dict[str, Any]) -> None:
        seconds = round(record["seconds"] + self._elapsed(name), 1)
        files.write_json(
            self._record_file(name), record | {"seconds": seconds, "peak_memory_bytes": peak_memory_bytes()}
        )

    def _elapsed(self, name: str) -> float:
        """Stop a stage's clock and take its time off the clocks of the stages around it."""
        seconds = time.monotonic() - self._started.pop(name)
        for outer in self._started:
            self._started[outer] += seconds
        return seconds

    def record(self, name: str) -> dict[str, Any]:
        """A stage's record: key, finished, seconds, peak_memory_bytes. Empty if the stage was never started."""
        path = self._record_file(name)
        found: dict[str, Any] = files.read_json(path) if path.exists() else {}
        return found

    def timings(self) -> dict[str, Any]:
        """{"seconds": {stage: seconds}, "peak_memory_bytes": ...} so far, the stage under way included."""
        paths = sorted(self.records.glob("*.json"), key=lambda path: path.stat().st_mtime)
        records = {path.stem: files.read_json(path) for path in paths}
        seconds = {name: record["seconds"] for name, record in records.items()}
        for name, started in self._started.items():
            seconds[name] = round(seconds[name] + time.monotonic() - started, 1)
        peaks = [record["peak_memory_bytes"] for record in records.values()]
        peaks += [peak_memory_bytes()] if self._started else []
        return {"seconds": seconds, "peak_memory_bytes": max(peaks, default=0)}

    def _record_file(self, name: str) -> Path:
        return self.records / f"{name}.json"

    def _has_finished_stage(self) -> bool:
        return any(files.read_json(path)["finished"] for path in self.records.glob("*.json"))


def _remove(new: list[Path]) -> None:
    """Remove a run's folder and the empty parent folders created for it."""
    files.remove_folder(new[0])
    for parent in new[1:]:
        with contextlib.suppress(OSError):
            parent.rmdir()
