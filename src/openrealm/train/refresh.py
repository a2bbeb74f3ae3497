"""Asynchronous refreshes of the index while training continues (Guu et al. 2020, Sec. 3.3).

The trainer writes a snapshot of the passage tower and starts a worker process, which embeds every passage and publishes
an index version. Between steps the trainer checks whether the worker has finished, and then switches to that version;
it never waits. If a worker dies, the trainer prints a warning and starts a new one when the next refresh is due.

In synchronous mode the trainer waits for the worker, so that nothing depends on time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from typing_extensions import TypedDict

from openrealm import files, memory, subprocesses
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine, num_cores
from openrealm.errors import WorkerDied
from openrealm.index.index import Binding, Index, MakeSearcher, remove, version_folder, version_named
from openrealm.model.embedder import embed_corpus, load_tower
from openrealm.model.realm import Realm
from openrealm.progress import warn
from openrealm.stored import Count, Size

_REPEAT_WARNING_STEPS = 20
_ATTEMPTS = 3


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
        searcher: str | MakeSearcher = "exact",
    ) -> None:
        """Configure the refreshes; nothing is written or started before `update`.

        index_folder         where versions are published
        folder               where the snapshot, the worker's instructions and its log are written
        every_steps          steps between the starts of two refreshes; None never refreshes
        synchronous          whether `update` waits for the refresh that it starts
        max_staleness_steps  age of the index, in steps, beyond which to warn; None never warns
        searcher             as in `Index`, for the versions that are opened
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
        self._worker, self._target = worker, target

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
        finished = self._built(model, step) if self.waits(step) else self.collect()
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
        for _ in range(_ATTEMPTS):
            self.start(model, step, num_cores())
            self.wait()
            finished = self.collect()
            if finished is not None:
                return finished
        raise WorkerDied(
            f"The refresh worker failed {_ATTEMPTS} times at step {step} (its last output is above); remove the cause "
            "and resume, or train with --set pretrain.synchronous_refresh=false."
        )

    def start(self, model: Realm, step: int, num_threads: int) -> None:
        """Save a snapshot of the passage tower and start a worker that embeds the corpus with it."""
        snapshot = self._folder / "snapshot"
        digest = model.save_passage_tower(snapshot)
        self._target = version_folder(self._index_folder, step, digest)
        order: _Order = {
            "snapshot": str(snapshot),
            "corpus": str(self._corpus.folder),
            "index": str(self._index_folder),
            "step": step,
            "binding": _values(replace(self.index.binding, encoder=digest)),
            "bf16": self._engine.bf16,
            "device": self._engine.device,
            "num_threads": num_threads,
            "parent": os.getpid(),
        }
        files.write_json(self._folder / "refresh.json", order)
        with files.open_log(self._folder / "refresh.log") as log:
            self._worker = subprocess.Popen(
                subprocesses.command("openrealm.train.refresh", str(self._folder / "refresh.json")),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=subprocesses.environment(OMP_NUM_THREADS=str(num_threads)),
            )

    def collect(self) -> Path | None:
        """The version of a worker that has just finished; None if there is none, or if it died (which is reported)."""
        if self._worker is None or self._target is None:
            return None
        memory.note_workers(self._worker.pid)
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
        then = "it is started again" if self._synchronous else "training continues with the older index"
        warn(f"The refresh worker exited with code {code} ({last}); {then}.")
        return None

    def close(self) -> None:
        """Kill a running worker and discard what it has not published."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait()
            self._worker = None
            files.sweep(self._index_folder)
        files.remove_folder(self._folder / "snapshot")

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
    import torch

    order = files.read_json(order_file, _Order)
    torch.set_num_threads(order["num_threads"])
    corpus = Corpus.open(Path(order["corpus"]))
    tower = load_tower(Path(order["snapshot"]))
    if tower.digest() != order["binding"]["encoder"]:
        raise SystemExit("the snapshot is not of the announced passage tower")
    engine = Engine(order["device"], order["bf16"])
    tower.to(engine.device)

    def stop_with_parent(_: int) -> None:
        if os.getppid() != order["parent"]:
            raise SystemExit("the trainer is gone")

    vector_ND = embed_corpus(tower, corpus, engine, stop_with_parent)
    Index(vector_ND, Binding(**order["binding"]), step=order["step"]).save(order["index"])


if __name__ == "__main__":
    work(Path(sys.argv[1]))
