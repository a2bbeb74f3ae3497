"""Takes up new versions of what is served, while questions go on being answered by the version before.

A request is given one `Served` and uses nothing else, so that no answer mixes two versions.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from openrealm.corpus.sources import open_source
from openrealm.errors import MissingStage, OpenRealmError
from openrealm.model.realm import Realm
from openrealm.progress import say
from openrealm.recipes.documents import MODEL
from openrealm.run import best, previous, stages
from openrealm.run.systems import SYSTEMS
from openrealm.serve.answerer import Answerer
from openrealm.serve.limits import Refused
from openrealm.serve.opening import Opened, documents_in
from openrealm.serve.served import Served
from openrealm.train.fusion import FusedFinder
from openrealm.train.spans import PassageFinder

BEST = "best"
_RETRY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class SystemName:
    """What clients call a system, and what people do."""

    name: str
    title: str


class Origin(Protocol):
    """Where the server finds what it serves."""

    name: str

    def systems(self) -> list[SystemName]:
        """The systems that can answer now, the default one first. Raises MissingStage if there is none."""
        ...

    def state(self) -> Hashable:
        """A value that changes whenever what is served may have changed; cheap."""
        ...

    def open(self, system: str) -> Answerer:
        """Load a system as it is now."""
        ...


class RunOrigin:
    """A run: what it found to answer best, and the systems that it fine-tuned."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, folder.name

    def systems(self) -> list[SystemName]:
        """What answers best, or the fine-tuned REALM if the run was not measured, and the other fine-tuned systems."""
        run = previous.readable(self.folder, previous.answering_stage(self.folder))
        found = [
            SystemName(entry.name, entry.title)
            for entry in reversed(SYSTEMS.values())
            if entry.reads_passages and stages.get(entry.stage).is_current(run)
        ]
        if best.is_recorded(run):
            found.insert(0, SystemName(BEST, f"the run's best ({best.TITLES[best.read(run)['system']]})"))
        if not found:
            Answerer.open(self.folder)  # says which command to run first
            raise MissingStage(f"{self.folder} has no system that can be asked; run it first.")
        return found

    def state(self) -> Hashable:
        """Names and times of the run's artefacts and records."""
        return tuple(previous.state(self.folder))

    def open(self, system: str) -> Answerer:
        """The run's best, or a fine-tuned system."""
        return Answerer.open(self.folder, None if system == BEST else system)


class DocumentsOrigin:
    """Documents, answered from by a model that answers as it is; they are read again when they change."""

    def __init__(self, source: str, kept: Path, *, model: str = MODEL, skip_unreadable: bool = False) -> None:
        """Serve the documents in `source`; the corpus and the index are kept in the folder `kept`."""
        self.source, self.name = source, Path(source).name
        self._kept, self._model, self._skip_unreadable = kept, model, skip_unreadable
        self._opened: tuple[Hashable, Opened] | None = None

    def systems(self) -> list[SystemName]:
        """The same model with passages found in three ways."""
        return [
            SystemName(BEST, "vectors and BM25"),
            SystemName("dense", "vectors alone"),
            SystemName("bm25", "BM25 alone"),
        ]

    def state(self) -> Hashable:
        """Names, sizes and times of the files."""
        return repr(open_source(self.source, skip_unreadable=self._skip_unreadable).identity())

    def open(self, system: str) -> Answerer:
        """Read the documents, as far as they have changed, and load the model unless it is loaded for this state."""
        state = self.state()
        if self._opened is None or self._opened[0] != state:
            model = Realm.from_pretrained(self._model)
            self._opened = state, documents_in(self.source, self._kept, model, skip_unreadable=self._skip_unreadable)
        opened = self._opened[1]
        return Answerer(
            opened.model,
            opened.corpus,
            finder=_finder(opened, system),
            config=opened.config,
            engine=opened.engine,
            source=opened.source,
        )


def _finder(opened: Opened, system: str) -> PassageFinder:
    """How a system of documents finds passages: by vectors, by words, or by both, weighed as the model weighs them."""
    finder = opened.finder
    if system == BEST or not isinstance(finder, FusedFinder):
        return finder
    if system == "bm25":
        return FusedFinder(finder.index, finder.bm25, finder.answering, vector_weight=0)
    return FusedFinder(finder.index, finder.bm25, dataclasses.replace(finder.answering, bm25_weight=0))


class Versions:
    """The loaded versions of each system, the newest first."""

    def __init__(self, origin: Origin, *, poll_seconds: float = 2.0, num_kept: int = 2) -> None:
        """Load the default system.

        poll_seconds  how often to look for a new version; 0 never does
        num_kept      versions of a system that stay loaded, the current one included
        Raises what `Origin.open` raises.
        """
        self._origin, self._poll_seconds, self._num_kept = origin, poll_seconds, num_kept
        self._lock = threading.Lock()  # only one version is opened at a time
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="openrealm-versions", daemon=True)
        self._state = origin.state()
        self.systems = origin.systems()
        self.update_error = ""
        self.num_updates = 0
        self._loaded: dict[str, tuple[Served, ...]] = {}
        self._load(self.default_system)

    @property
    def name(self) -> str:
        """What is served."""
        return self._origin.name

    @property
    def default_system(self) -> str:
        """The system that answers if a request names none."""
        return self.systems[0].name

    @property
    def loaded(self) -> list[tuple[Served, bool]]:
        """All loaded versions, and whether each is its system's current one."""
        return [(served, n == 0) for versions in list(self._loaded.values()) for n, served in enumerate(versions)]

    def start(self) -> None:
        """Start to look for new versions."""
        if self._poll_seconds > 0:
            self._thread.start()

    def stop(self) -> None:
        """Stop looking for new versions. One that is being made is finished, or given up if the process is to end."""
        self._stopped.set()

    def join(self) -> None:
        """Wait until `stop` has taken effect: Python must not end while torch computes in another thread."""
        if self._thread.ident is not None:
            self._thread.join()

    async def get(self, system: str | None = None, version: str | None = None) -> Served:
        """The current version of a system, which is loaded if necessary, or a loaded version by its id.

        Raises Refused (404) if there is no such system or version.
        """
        if version is not None:
            named = [each for each, _ in self.loaded if each.version.id == version and system in (None, each.system)]
            if not named:
                raise Refused(404, f"There is no version {version[:64]!r}; GET /v1/info lists the loaded ones.")
            return named[0]
        name = self.default_system if system is None else system
        if versions := self._loaded.get(name):
            return versions[0]
        if name not in (known := [each.name for each in self.systems]):
            raise Refused(404, f"There is no system {name[:64]!r}; choose from {', '.join(known)}.")
        return await asyncio.to_thread(self._load, name)

    def _load(self, system: str) -> Served:
        with self._lock:
            if versions := self._loaded.get(system):
                return versions[0]
            served = Served(self._origin.open(system), system)
            self._loaded = {**self._loaded, system: (served,)}
            return served

    def _watch(self) -> None:
        before, wait = self._state, self._poll_seconds
        while not self._stopped.wait(wait):
            wait = self._poll_seconds
            try:
                now = self._origin.state()
                # What is being written is left alone until it has not changed for a while.
                if now == before != self._state:
                    self.update()
                    self._state = now
                    self.update_error = ""
                before = now
            except KeyboardInterrupt:  # raised by `interrupt.check` in what takes long
                return
            except Exception as error:  # whatever it is, the version before can still answer
                wait = max(self._poll_seconds, _RETRY_SECONDS)
                if (sentence := _sentence(error)) != self.update_error:
                    self.update_error = sentence
                    say(f"A new version could not be taken up, and the one before goes on answering: {sentence}")

    def update(self) -> None:
        """Load what has changed of every loaded system, and answer with it from the next request on."""
        with self._lock:
            systems = self._origin.systems()
            names = {each.name for each in systems}
            for system in [systems[0].name, *(name for name in self._loaded if name != systems[0].name)]:
                if system in names:
                    self._take_up(Served(self._origin.open(system), system))
            self.systems = systems

    def _take_up(self, served: Served) -> None:
        before = self._loaded.get(served.system, ())
        if before and before[0].version.id == served.version.id:
            return
        others = [each for each in before if each.version.id != served.version.id]
        self._loaded = {**self._loaded, served.system: (served, *others[: self._num_kept - 1])}
        self.num_updates += 1
        say(f"{served.system}: version {served.version.id} answers from now on (index {served.version.index}).")


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, OpenRealmError | OSError) else f"{type(error).__name__}: {error}"
