"""A run's folder: its configuration, its lock, and a record of each stage. Which stages there are: `run.stages`."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from typing_extensions import TypedDict

from openrealm import files, interrupt
from openrealm.config import Config
from openrealm.corpus.builder import is_begun
from openrealm.engine import engine_for
from openrealm.errors import (
    BadConfig,
    BadInput,
    Busy,
    DamagedArtefact,
    Mismatch,
    MissingStage,
    NotInstalled,
    OpenRealmError,
)
from openrealm.memory import peak_memory_bytes, reset_peak
from openrealm.model.weights import backbone_location
from openrealm.registry import TAGGERS
from openrealm.stored import Count, Seconds

# Errors raised before a stage has written anything: the run is restored to its previous state.
_USER_ERRORS = (BadConfig, BadInput, Mismatch, MissingStage, NotInstalled)


class Record(TypedDict):
    """What a run knows of a stage that was started.

    key                digest of everything that decides its output
    finished           whether it has finished
    seconds            time it took, over all attempts that were resumed
    peak_memory_bytes  of all processes together
    files              once it has finished: SHA-256 of the files it left, by their paths in the run; an artefact's
                       manifest.json stands for all of its files
    """

    stage: str
    key: str
    finished: bool
    seconds: Seconds
    peak_memory_bytes: Count
    files: dict[str, str]


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
                f"{folder} is not a run (it has no config.json); start it with `{_first_command(folder)}`, or choose "
                "another run."
            )
        return cls(folder, _read_config(folder / "config.json"))

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Lock the run while its stages write. The configuration is checked and saved first.

        After an error, a run without a finished stage is removed, and an existing run gets its configuration back
        unless a stage was finished with the new one or can be resumed with it. A run whose corpus is partly built is
        kept, so that the build can be continued. After Ctrl-C the configuration is that of the stage to continue.
        The systems that can answer are kept aside until one can answer again (see `run.previous`).
        """
        from openrealm.run import previous, stages  # they are views of a run

        self._check_settings()
        new = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        try:
            with files.sole_writer(self.folder):
                for stage in stages.STAGES:
                    stage.mend(self)
                previous.keep(self.folder)
                try:
                    yield from self._configured()
                finally:
                    with contextlib.suppress(OpenRealmError):  # the error before it is the one to report
                        previous.drop(self.folder)
        except Busy:
            raise
        except BaseException:
            if new and not self._has_finished_stage() and not is_begun(self.corpus):
                with contextlib.suppress(OSError):  # the first error is the one to report
                    _remove(new)
            raise

    def _configured(self) -> Iterator[None]:
        before = self.config_file.read_bytes() if self.config_file.exists() else None
        done = self._work_done()
        try:
            files.write_sealed(self.config_file, self.config.to_dict())
            yield
        except Exception:
            if before is not None and not self._work_done() - done:
                files.write_bytes(self.config_file, before)
            raise

    def _work_done(self) -> set[tuple[str, Any]]:
        """What can be used or continued with the present settings: finished stages, checkpoints and shards."""
        records = {path.stem: _read_record(path) for path in self.records.glob("*.json")}
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
        files.write_sealed(self.config_file, config.to_dict())
        return Run(self.folder, config)

    @contextlib.contextmanager
    def recorded(self, name: str, key: str, *, leaves: Sequence[str] = (), resumed: bool = False) -> Iterator[None]:
        """Record that a stage started, then whether it finished, how long it took and how much memory it used.

        key      digest of everything that decides the stage's output (see `run.stages`)
        leaves   patterns of the files whose digests are recorded once it has finished
        resumed  add the seconds to those of the interrupted attempt
        A stage recorded inside another one does not count towards the outer one's seconds.
        """
        interrupt.check()
        before = self.record(name)
        spent = before.get("seconds", 0.0) if resumed else 0.0
        record: Record = {
            "stage": name,
            "key": key,
            "finished": False,
            "seconds": spent,
            "peak_memory_bytes": 0,
            "files": {},
        }
        self._write_record(record)
        reset_peak()
        self._started[name] = time.monotonic()
        try:
            yield
        except _USER_ERRORS:
            self._elapsed(name)
            if before:
                self._write_record(cast(Record, before))
            raise
        except BaseException:
            with contextlib.suppress(OpenRealmError, OSError):  # the first error is the one to report
                self._write_record(self._measured(record))
            raise
        self.finish(self._measured(record), leaves)

    def finish(self, record: Record, leaves: Sequence[str]) -> None:
        """Record that a stage has finished, with the digests of the files that it left."""
        found = sorted({path for pattern in leaves for path in self.folder.glob(pattern)})
        digests = {str(path.relative_to(self.folder)): files.sha256_file(path) for path in found}
        self._write_record({**record, "finished": True, "files": digests})

    def _measured(self, record: Record) -> Record:
        seconds = round(record["seconds"] + self._elapsed(record["stage"]), 1)
        return {**record, "seconds": seconds, "peak_memory_bytes": peak_memory_bytes()}

    def _write_record(self, record: Record) -> None:
        files.write_sealed(self._record_file(record["stage"]), record)

    def _elapsed(self, name: str) -> float:
        """Stop a stage's clock and take its time off the clocks of the stages around it."""
        seconds = time.monotonic() - self._started.pop(name)
        for outer in self._started:
            self._started[outer] += seconds
        return seconds

    def record(self, name: str) -> dict[str, Any]:
        """A stage's `Record`; empty if the stage was never started. Raises DamagedArtefact."""
        path = self._record_file(name)
        return dict(_read_record(path)) if path.exists() else {}

    def verify(self, name: str, path: Path, remedy: str) -> None:
        """Raise DamagedArtefact if a file that a finished stage left is missing or not as the stage left it.

        remedy  what the message says to do
        """
        digest = self.record(name).get("files", {}).get(str(path.relative_to(self.folder)))
        if digest is not None:
            files.verify_file(path, digest, self._record_file(name), remedy)

    def timings(self) -> dict[str, Any]:
        """{"seconds": {stage: seconds}, "peak_memory_bytes": ...} so far, the stage under way included."""
        paths = sorted(self.records.glob("*.json"), key=lambda path: path.stat().st_mtime)
        records = {path.stem: _read_record(path) for path in paths}
        seconds = {name: record["seconds"] for name, record in records.items()}
        for name, started in self._started.items():
            seconds[name] = round(seconds[name] + time.monotonic() - started, 1)
        peaks = [record["peak_memory_bytes"] for record in records.values()]
        peaks += [peak_memory_bytes()] if self._started else []
        return {"seconds": seconds, "peak_memory_bytes": max(peaks, default=0)}

    def _record_file(self, name: str) -> Path:
        return self.records / f"{name}.json"

    def _has_finished_stage(self) -> bool:
        return any(_read_record(path)["finished"] for path in self.records.glob("*.json"))


def _read_config(path: Path) -> Config:
    """The configuration of a run. People may write one: then it has no digest."""
    remedy = 'change settings with --set instead, or remove its entry "sha256" if the change is meant'
    values = files.read_sealed(path, dict[str, Any], remedy, may_lack_digest=True)
    try:
        return Config.from_dict(values)
    except BadConfig as error:
        raise BadConfig(f"{path}: {error}") from error


def _read_record(path: Path) -> Record:
    remedy = "remove it, and rerun the stage"
    record = files.read_sealed(path, Record, remedy)
    if record["stage"] != path.stem:
        raise DamagedArtefact(f"{path} is the record of the stage {record['stage']}; {remedy}.")
    return record


def _first_command(folder: Path) -> str:
    """The command that starts a run in `folder`."""
    name = folder.name if folder.parent == Path("runs") else str(folder)
    return "openrealm quickstart" if name == "quickstart" else shlex.join(["openrealm", "run", "FOLDER", "--run", name])


def _remove(new: list[Path]) -> None:
    """Remove a run's folder and the empty parent folders created for it."""
    files.remove_folder(new[0])
    for parent in new[1:]:
        with contextlib.suppress(OSError):
            parent.rmdir()
