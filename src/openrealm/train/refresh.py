"""Asynchronous refreshes of the index while training continues (Guu et al. 2020, Sec. 3.3).

The trainer writes a snapshot of the passage tower and starts a worker process, which embeds every passage and publishes
an index version. Between steps the trainer checks whether the worker has finished, and then switches to that version;
it never waits. If a worker dies, or has made no progress for ten minutes, the trainer prints a warning and starts it
again; the new one continues with the parts that are finished. After the third time the next refresh is waited for.

In synchronous mode the trainer waits for the worker, so that nothing depends on time.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from typing_extensions import TypedDict

from openrealm import files, memory, subprocesses
from openrealm.config import Storage
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine, num_cores
from openrealm.errors import DamagedArtefact, WorkerDied
from openrealm.index.index import Binding, Index, remove, version_folder, version_named
from openrealm.index.searcher import MakeSearcher
from openrealm.model.embedder import embed_corpus, load_tower
from openrealm.model.realm import Realm
from openrealm.model.retriever import Tower
from openrealm.progress import counted, say, warn
from openrealm.stored import Count, Size

_REPEAT_WARNING_STEPS = 20
_PARTS, _VECTORS = "refresh-parts", "vectors"
_PART_PASSAGES = 20_000
_ATTEMPTS = 3
_SILENT_SECONDS = 600.0  # the worker writes to its log at least every _HEARTBEAT_SECONDS
_HEARTBEAT_SECONDS = 10.0


class _BindingValues(TypedDict):
    encoder: str
    tokenizer: str
    corpus: str


class _Version(TypedDict):
    step: Count
    binding: _BindingValues


class RefreshState(TypedDict):
    """The state of a `Refresher` in a checkpoint: the version in use, when refreshes began, and what was published."""

    index: _Version
    last_refresh_step: Count
    refresh_steps: list[Count]
    num_failed_refreshes: Count
    published: list[str]


class _Order(TypedDict):
    """What a worker is told: refresh.json."""

    snapshot: str
    corpus: str
    index: str
    step: Count
    binding: _BindingValues
    bf16: bool
    device: str
    num_threads: Size
    parts: str
    part_passages: Size
    storage: Storage
    parent: int


class Refresher:
    """The index in use, and at most one worker that builds the next one.

    index          the version in use
    refresh_steps  steps at which training switched to a new version
    num_failed     number of workers that died
    """

    def __init__(
        self,
        corpus: Corpus,
        index: Index,
        index_folder: Path,
        folder: Path,
        engine: Engine,
        *,
        every_steps: int | None,
        synchronous: bool = False,
        max_staleness_steps: int | None = None,
        searcher: str | MakeSearcher | None = None,
        part_passages: int = _PART_PASSAGES,
    ) -> None:
        """Configure the refreshes; nothing is written or started before `update`.

        index_folder         where versions are published
        folder               where the snapshot, the worker's instructions and its log are written
        every_steps          steps between the starts of two refreshes; None never refreshes
        synchronous          whether `update` waits for the refresh that it starts
        max_staleness_steps  age of the index, in steps, beyond which to warn; None never warns
        searcher             as in `Index`, for the versions that are opened
        part_passages        passages after which the worker saves what it has embedded
        """
        self.index = index
        self.refresh_steps: list[int] = []
        self.num_failed = 0
        self._corpus, self._index_folder, self._folder, self._engine = corpus, index_folder, folder, engine
        self._every_steps, self._max_staleness_steps = every_steps, max_staleness_steps
        self._synchronous, self._searcher = synchronous, searcher
        self._last_start = 0
        self._published: list[str] = []
        self._is_published = False
        self._worker: subprocess.Popen[bytes] | None = None
        self._target: Path | None = None
        self._part_passages = part_passages
        self._num_attempts, self._num_threads, self._started = 0, 1, 0.0

    @property
    def is_running(self) -> bool:
        """Whether a worker was started whose result has not been collected yet."""
        return self._worker is not None

    @property
    def worker(self) -> subprocess.Popen[bytes] | None:
        """The process of the running worker, if any."""
        return self._worker

    def watch(self, worker: subprocess.Popen[bytes], target: Path) -> None:
        """Adopt a worker that was started elsewhere and will publish the version `target`."""
        self._worker, self._target, self._started = worker, target, time.time()

    def wait(self, timeout: float | None = None) -> None:
        """Wait up to `timeout` seconds for the running worker, if any; the next `update` collects its result."""
        if self._worker is not None:
            self._worker.wait(timeout=timeout)

    def waits(self, step: int) -> bool:
        """Whether `update` will wait for a refresh at this step."""
        return self._synchronous and self._is_due(step)

    def update(self, model: Realm, step: int) -> bool:
        """Switch to a finished version, warn if the index is stale, and start a refresh if one is due.

        Never waits, except in synchronous mode for a refresh that is due. Returns whether `index` was replaced.
        Raises WorkerDied if the worker that it waits for dies repeatedly.
        """
        self._publish_first()
        was_running = self.is_running
        finished = self._built(model, step) if self.waits(step) else self.collect()
        if was_running and not self.is_running and finished is None:
            self._start_again()
        if finished is not None:
            self._switch(finished, step)
            self._published.append(self.index.name)
        if self._every_steps is not None:
            self._warn_if_stale(step)
            if self._is_due(step):
                self._last_start = step
                self.start(model, step, share_of_cores(True)[1])
        return finished is not None

    def adopt(self, name: str, step: int) -> None:
        """Switch to a version that another process of this training has switched to."""
        self._switch(version_named(self._index_folder, name), step)

    def _switch(self, version: Path, step: int) -> None:
        self.index = Index.open(version, self._corpus, searcher=self._searcher)
        self.refresh_steps.append(step)
        if self._synchronous:
            self._last_start = step

    def _is_due(self, step: int) -> bool:
        return self._every_steps is not None and step - self._last_start >= self._every_steps and not self.is_running

    def _built(self, model: Realm, step: int) -> Path:
        """A version of the present weights, after waiting for it."""
        binding = replace(self.index.binding, encoder=model.passage_digest())
        version = version_folder(self._index_folder, step, binding.encoder)
        if version.exists() and Binding.read(version) == binding:
            return version  # this training was killed after it had been published
        self.start(model, step, num_cores())
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait(timeout=_HEARTBEAT_SECONDS)
            finished = self.collect()
            if finished is not None:
                return finished
            if not (self.is_running or self._start_again()):
                break
        raise WorkerDied(
            f"The refresh worker failed {_ATTEMPTS} times at step {step} (its last output is above); remove the cause "
            "and resume, or train with --set pretrain.synchronous_refresh=false."
        )

    def start(self, model: Realm, step: int, num_threads: int) -> None:
        """Save a snapshot of the passage tower and start a worker that embeds the corpus with it."""
        snapshot = self._folder / "snapshot"
        digest = model.save_passage_tower(snapshot)
        self._target = version_folder(self._index_folder, step, digest)
        parts = self._folder / _PARTS / self._target.name
        for old in (self._folder / _PARTS).glob("*"):
            if old != parts:
                files.remove_folder(old)
        order: _Order = {
            "snapshot": str(snapshot),
            "corpus": str(self._corpus.folder),
            "index": str(self._index_folder),
            "step": step,
            "binding": _values(replace(self.index.binding, encoder=digest)),
            "bf16": self._engine.bf16,
            "device": self._engine.device,
            "num_threads": num_threads,
            "parts": str(parts),
            "part_passages": self._part_passages,
            "storage": self.index.storage,
            "parent": os.getpid(),
        }
        files.write_json(self._folder / "refresh.json", order)
        self._num_attempts, self._num_threads = 1, num_threads
        self._launch()

    def _start_again(self) -> bool:
        """Start a worker with the same instructions as the one that has died; False after the last attempt."""
        if not 0 < self._num_attempts < _ATTEMPTS:
            return False
        self._num_attempts += 1
        self._launch()
        return True

    def _launch(self) -> None:
        self._started = time.time()
        with files.open_log(self._folder / "refresh.log") as log:
            self._worker = subprocess.Popen(
                subprocesses.command("openrealm.train.refresh", str(self._folder / "refresh.json")),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=subprocesses.environment(OMP_NUM_THREADS=str(self._num_threads)),
            )

    def collect(self) -> Path | None:
        """The version of a worker that has just finished; None if there is none, or if it died (which is reported)."""
        if self._worker is None or self._target is None:
            return None
        memory.note_workers(self._worker.pid)
        if self._worker.poll() is None and self._is_silent():
            warn(f"The refresh worker has been silent for {_SILENT_SECONDS / 60:.0f} minutes and is killed.")
            self._worker.kill()
            self._worker.wait()
        code = self._worker.poll()
        if code is None:
            return None
        self._worker = None
        if code == 0:
            return self._target
        self.num_failed += 1
        files.sweep(self._index_folder)
        log = (self._folder / "refresh.log").read_text(errors="replace").strip().splitlines()
        last = log[-1] if log else "no output"
        if 0 < self._num_attempts < _ATTEMPTS:
            then = "it is started again"
        else:
            then = "training cannot continue" if self._synchronous else "training continues with the older index"
        warn(f"The refresh worker exited with code {code} ({last}); {then}.")
        return None

    def _is_silent(self) -> bool:
        log = self._folder / "refresh.log"
        heard = max(self._started, log.stat().st_mtime if log.exists() else 0.0)
        return time.time() - heard > _SILENT_SECONDS

    def close(self) -> None:
        """Kill a running worker and discard what it has not published."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait()
            self._worker = None
            files.sweep(self._index_folder)
        files.remove_folder(self._folder / "snapshot")
        files.remove_folder(self._folder / _PARTS)

    def prune(self, in_use: Collection[str] = ()) -> None:
        """Remove the versions published here that are neither `in_use` nor the present one."""
        unused = [name for name in self._published if name not in {*in_use, self.index.name}]
        remove(self._index_folder, unused)
        self._published = [name for name in self._published if name not in unused]

    def state(self) -> RefreshState:
        """JSON values for a checkpoint."""
        return {
            "index": {"step": self.index.step, "binding": _values(self.index.binding)},
            "last_refresh_step": self._last_start,
            "refresh_steps": self.refresh_steps,
            "num_failed_refreshes": self.num_failed,
            "published": list(self._published),
        }

    def load_state(self, state: RefreshState) -> None:
        """Open the version that was in use. Raises MissingStage if it is gone, Mismatch if it is of another corpus."""
        step, binding = state["index"]["step"], Binding(**state["index"]["binding"])
        self._published = list(state["published"])
        path = version_folder(self._index_folder, step, binding.encoder)
        expected = Binding(binding.encoder, self._corpus.tokenizer_digest, self._corpus.digest)
        self.index = Index.open(path, self._corpus, expected=expected, searcher=self._searcher)
        # Restart a refresh that was running when the checkpoint was saved.
        self._last_start = min(state["last_refresh_step"], self.index.step)
        self.refresh_steps = list(state["refresh_steps"])
        self.num_failed = state["num_failed_refreshes"]

    def _publish_first(self) -> None:
        """Publish an index that was built in memory, so that checkpoints can refer to it.

        An earlier training may have left a version of the same name that belongs to another corpus.
        """
        if self._is_published:
            return
        path = version_folder(self._index_folder, self.index.step, self.index.binding.encoder)
        if not path.exists() or Binding.read(path) != self.index.binding:
            self.index.save(self._index_folder)
        self._is_published = True

    def _warn_if_stale(self, step: int) -> None:
        """Warn when the index gets older than allowed, and again every 20 steps, since a worker may hang."""
        limit, age = self._max_staleness_steps, step - self.index.step
        if limit is not None and age > limit and (age - limit - 1) % _REPEAT_WARNING_STEPS == 0:
            warn(f"The index is {age} steps old, more than max_staleness_steps={limit}; training continues.")


def _values(binding: Binding) -> _BindingValues:
    return {"encoder": binding.encoder, "tokenizer": binding.tokenizer, "corpus": binding.corpus}


def share_of_cores(busy: bool) -> tuple[int, int]:
    """Numbers of threads for trainer and worker: half of the cores each if the worker is `busy`."""
    total = num_cores()
    worker = max(1, total // 2)
    return (max(1, total - worker), worker) if busy else (total, worker)


def work(order_file: Path) -> None:
    """The worker's program: embed the corpus with the snapshot and publish the index; exit if the trainer is gone."""
    order = files.read_json(order_file, _Order)
    torch.set_num_threads(order["num_threads"])
    corpus = Corpus.open(Path(order["corpus"]))
    tower = load_tower(Path(order["snapshot"]))
    if tower.digest() != order["binding"]["encoder"]:
        raise SystemExit("the snapshot is not of the announced passage tower")
    engine = Engine(order["device"], order["bf16"])
    tower.to(engine.device)

    num_done, last_said = 0, time.monotonic()

    def report(num_passages: int) -> None:
        nonlocal num_done, last_said
        if os.getppid() != order["parent"]:
            raise SystemExit("the trainer is gone")
        num_done += num_passages
        if time.monotonic() - last_said > _HEARTBEAT_SECONDS:
            last_said = time.monotonic()
            say(f"{num_done:,} of {counted({'passage': corpus.num_passages})}")

    parts = Path(order["parts"])
    vector_ND = torch.cat(list(_embedded(tower, corpus, engine, parts, order["part_passages"], report)))
    index = Index(vector_ND, Binding(**order["binding"]), step=order["step"], storage=order["storage"])
    index.save(order["index"])
    files.remove_folder(parts)


def _embedded(
    tower: Tower, corpus: Corpus, engine: Engine, parts: Path, part_passages: int, progress: Callable[[int], None]
) -> Iterator[Tensor]:
    """Vectors of all passages, part after part; parts that an earlier worker has finished are not embedded again."""
    for first in range(0, corpus.num_passages, part_passages):
        passages = np.arange(first, min(first + part_passages, corpus.num_passages))
        file, shape = parts / f"{first:012d}.safetensors", (len(passages), tower.projection.out_features)
        vector_nD = _finished_part(file, shape)
        if vector_nD is None:
            vector_nD = embed_corpus(tower, corpus, engine, progress, passages)
            files.write_safetensors(file, {_VECTORS: vector_nD})
        else:
            progress(len(passages))
        yield vector_nD


def _finished_part(file: Path, shape: tuple[int, int]) -> Tensor | None:
    """The vectors of a part; None if it is missing or damaged."""
    try:
        found = files.read_safetensors(file).get(_VECTORS) if file.exists() else None
    except DamagedArtefact:
        return None
    return found if found is not None and found.shape == shape else None


if __name__ == "__main__":
    work(Path(sys.argv[1]))
