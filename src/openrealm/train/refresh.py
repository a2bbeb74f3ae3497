"""The index refreshed by another process while the trainer goes on (Guu et al. 2020, Sec. 3.3).

The trainer writes a snapshot of the passage tower and starts a worker; the worker embeds every passage and publishes
an index version; the trainer looks between steps whether the worker has ended, and switches. It never waits, and a
worker that dies costs one warning and is started again at the next turn.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from openrealm import files, memory
from openrealm.engine import Engine, num_cores
from openrealm.index.store import Binding, IndexVersion, open_version, publish, version_name
from openrealm.model.realm import Realm
from openrealm.progress import say
from openrealm.train.embedder import embed_corpus, load_tower, save_tower
from openrealm.train.layout import Layout


class Refresher:
    """Trainer's side: at most one worker at a time."""

    def __init__(self, folder: Path, corpus_folder: Path, index_folder: Path, binding: Binding, engine: Engine) -> None:
        self._folder, self._corpus_folder, self._index_folder = folder, corpus_folder, index_folder
        self._binding, self._engine = binding, engine
        self._worker: subprocess.Popen[bytes] | None = None
        self._target: Path | None = None
        self.num_failed = 0

    @property
    def is_running(self) -> bool:
        """Whether a worker was started and its result not yet collected."""
        return self._worker is not None

    def start(self, model: Realm, step: int, num_threads: int) -> None:
        """Snapshot the passage tower and start a worker on it."""
        snapshot = self._folder / "snapshot"
        digest = save_tower(model, snapshot)
        self._target = self._index_folder / "versions" / version_name(step, digest)
        order = {
            "snapshot": str(snapshot),
            "corpus": str(self._corpus_folder),
            "index": str(self._index_folder),
            "step": step,
            "binding": asdict(self._binding) | {"encoder": digest},
            "bf16": self._engine.bf16,
            "device": self._engine.device,
            "title_in_joint": model.config.title_in_joint,
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

    def collect(self) -> IndexVersion | None:
        """The new version if the worker has just finished, else None at once; a dead one is reported and forgotten."""
        if self._worker is None or self._target is None:
            return None
        memory.note_workers(self._worker.pid)
        code = self._worker.poll()
        if code is None:
            return None
        self._worker = None
        if code == 0:
            return open_version(self._target)
        self.num_failed += 1
        files.sweep(self._index_folder)
        log = (self._folder / "refresh.log").read_text(errors="replace").strip().splitlines()
        last = log[-1] if log else "no output"
        say(f"The refresh worker ended with code {code} ({last}); training goes on with the older index.")
        return None

    def stop(self) -> None:
        """End a running worker; what it had not published is gone."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait()
            self._worker = None
            files.sweep(self._index_folder)
        files.remove_folder(self._folder / "snapshot")


def share_of_cores(busy: bool) -> tuple[int, int]:
    """Threads for the trainer and for the worker: all to the trainer when no worker is busy, else half each."""
    total = num_cores()
    worker = max(1, total // 2)
    return (max(1, total - worker), worker) if busy else (total, worker)


def work(order_file: Path) -> None:
    """Worker's side: embed the corpus with the snapshot and publish. Ends quietly when its trainer is gone."""
    import torch

    from openrealm.corpus.corpus import Corpus

    order = files.read_json(order_file)
    torch.set_num_threads(order["num_threads"])
    layout = Layout(Corpus.open(Path(order["corpus"])), title_in_joint=order["title_in_joint"])
    tower = load_tower(Path(order["snapshot"]))
    if tower.digest() != order["binding"]["encoder"]:
        raise SystemExit("the snapshot is not the tower that was announced")
    engine = Engine(order["device"], order["bf16"])
    tower.to(engine.device)

    def stop_with_parent(_: int) -> None:
        if os.getppid() != order["parent"]:
            raise SystemExit("the trainer is gone")

    vector_ND = embed_corpus(tower, layout, engine, stop_with_parent)
    publish(Path(order["index"]), order["step"], Binding(**order["binding"]), vector_ND)


if __name__ == "__main__":
    work(Path(sys.argv[1]))
