"""The index, refreshed by another process while training goes on (Guu et al. 2020, Sec. 3.3).

The trainer writes a snapshot of the passage tower and starts a worker; the worker embeds every passage and publishes an
index version; the trainer checks between steps whether the worker has finished, and switches. It never waits. A worker
that dies costs one warning and is started again when the next refresh is due.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from openrealm import files, memory
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine, num_cores
from openrealm.index.index import Binding, Index, MakeSearcher, version_folder
from openrealm.model.embedder import embed_corpus, load_tower
from openrealm.model.realm import Realm
from openrealm.progress import say

_REPEAT_WARNING_STEPS = 20


class Refresher:
    """The index in use, and at most one worker that makes the next one.

    index          the newest version
    refresh_steps  steps at which training switched to a new version
    num_failed     workers that died
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
        max_staleness_steps: int | None = None,
        searcher: str | MakeSearcher = "exact",
    ) -> None:
        """Nothing is written or started before `update`.

        index_folder         where versions are published
        folder               where the snapshot, the worker's order and its log go
        every_steps          steps between two starts of a refresh; None: never
        max_staleness_steps  warn when the index is older; None: never
        """
        self.index = index
        self.refresh_steps: list[int] = []
        self.num_failed = 0
        self._corpus, self._index_folder, self._folder, self._engine = corpus, index_folder, folder, engine
        self._every_steps, self._max_staleness_steps = every_steps, max_staleness_steps
        self._searcher = searcher
        self._last_start = 0
        self._worker: subprocess.Popen[bytes] | None = None
        self._target: Path | None = None

    @property
    def is_running(self) -> bool:
        """Whether a worker was started and its result not yet collected."""
        return self._worker is not None

    @property
    def worker(self) -> subprocess.Popen[bytes] | None:
        """The running worker's process."""
        return self._worker

    def watch(self, worker: subprocess.Popen[bytes], target: Path) -> None:
        """Take over a worker that somebody else started, which publishes the version `target`."""
        self._worker, self._target = worker, target

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the running worker, if there is one; the next `update` collects its result."""
        if self._worker is not None:
            self._worker.wait(timeout=timeout)

    def update(self, model: Realm, step: int) -> bool:
        """Collect a finished version, warn of a stale one, start the next refresh when it is due; never waits.

        Returns whether `index` was replaced.
        """
        self._publish_first()
        finished = self.collect()
        if finished is not None:
            self.index = Index.open(finished, self._corpus, searcher=self._searcher)
            self.refresh_steps.append(step)
        if self._every_steps is not None:
            self._warn_if_stale(step)
            if step - self._last_start >= self._every_steps and not self.is_running:
                self._last_start = step
                self.start(model, step, share_of_cores(True)[1])
        return finished is not None

    def start(self, model: Realm, step: int, num_threads: int) -> None:
        """Take a snapshot of the passage tower and start a worker on it."""
        snapshot = self._folder / "snapshot"
        digest = model.save_passage_tower(snapshot)
        self._target = version_folder(self._index_folder, step, digest)
        order = {
            "snapshot": str(snapshot),
            "corpus": str(self._corpus.folder),
            "index": str(self._index_folder),
            "step": step,
            "binding": asdict(self.index.binding) | {"encoder": digest},
            "bf16": self._engine.bf16,
            "device": self._engine.device,
            "num_threads": num_threads,
            "parent": os.getpid(),
        }
        files.write_json(self._folder / "refresh.json", order)
        with (self._folder / "refresh.log").open("wb") as log:
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "openrealm.train.refresh", str(self._folder / "refresh.json")],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": str(num_threads)},
            )

    def collect(self) -> Path | None:
        """The version of a worker that has just finished, else None at once; a dead worker is reported and dropped."""
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
        say(f"The refresh worker exited with code {code} ({last}); training continues with the older index.")
        return None

    def close(self) -> None:
        """Kill a running worker; what it had not published is discarded."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait()
            self._worker = None
            files.sweep(self._index_folder)
        files.remove_folder(self._folder / "snapshot")

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: the version in use, by name and binding, and when the last refresh was started."""
        return {
            "index": {"step": self.index.step, "binding": asdict(self.index.binding)},
            "last_refresh_step": self._last_start,
            "refresh_steps": self.refresh_steps,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Open the version that was in use. Raises MissingStage or Mismatch if it is gone or another corpus's."""
        step, binding = state["index"]["step"], Binding(**state["index"]["binding"])
        path = version_folder(self._index_folder, step, binding.encoder)
        expected = Binding(binding.encoder, self._corpus.tokenizer_digest, self._corpus.digest)
        self.index = Index.open(path, self._corpus, expected=expected, searcher=self._searcher)
        # A refresh that was running when the checkpoint was written is started again.
        self._last_start = min(state["last_refresh_step"], self.index.step)
        self.refresh_steps = list(state["refresh_steps"])

    def _publish_first(self) -> None:
        """Publish an index that was built in memory, so that a checkpoint can name it."""
        if (
            not self._index_folder.exists()
            or not version_folder(self._index_folder, self.index.step, self.index.binding.encoder).exists()
        ):
            self.index.save(self._index_folder)

    def _warn_if_stale(self, step: int) -> None:
        """One line when the index becomes older than allowed, repeated every 20 steps (a worker may hang for ever)."""
        limit, age = self._max_staleness_steps, step - self.index.step
        if limit is not None and age > limit and (age - limit - 1) % _REPEAT_WARNING_STEPS == 0:
            say(f"The index is {age} steps old, more than max_staleness_steps={limit}; training continues.")


def share_of_cores(busy: bool) -> tuple[int, int]:
    """Threads for the trainer and for the worker: all to the trainer when no worker is busy, else half each."""
    total = num_cores()
    worker = max(1, total // 2)
    return (max(1, total - worker), worker) if busy else (total, worker)


def work(order_file: Path) -> None:
    """The worker: embed the corpus with the snapshot and publish. Exits quietly when its trainer is gone."""
    import torch

    order = files.read_json(order_file)
    torch.set_num_threads(order["num_threads"])
    corpus = Corpus.open(Path(order["corpus"]))
    tower = load_tower(Path(order["snapshot"]))
    if tower.digest() != order["binding"]["encoder"]:
        raise SystemExit("the snapshot is not the tower that was announced")
    engine = Engine(order["device"], order["bf16"])
    tower.to(engine.device)

    def stop_with_parent(_: int) -> None:
        if os.getppid() != order["parent"]:
            raise SystemExit("the trainer is gone")

    vector_ND = embed_corpus(tower, corpus, engine, stop_with_parent)
    Index(vector_ND, Binding(**order["binding"]), step=order["step"]).save(order["index"])


if __name__ == "__main__":
    work(Path(sys.argv[1]))
