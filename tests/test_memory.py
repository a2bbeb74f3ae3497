from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from openrealm import memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what a process holds is read from /proc")


def test_what_was_held_counts_after_it_is_given_back() -> None:
    before = memory.held_bytes()
    block = np.ones(before // 8 + 20_000_000)
    held = memory.held_bytes()
    del block
    assert held >= before + 160_000_000
    # The kernel counts pages by the batch.
    assert memory.peak_memory_bytes() >= held - 1_000_000


def test_a_worker_counts_with_what_it_holds_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_workers_bytes", 0)
    block = np.ones(40_000_000)
    script = "held = bytearray(50_000_000); print(flush=True); input()"
    worker = subprocess.Popen([sys.executable, "-S", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert worker.stdout is not None
    worker.stdout.readline()
    own = memory.held_bytes()
    try:
        memory.note_workers(worker.pid)
        assert 45_000_000 < memory.peak_memory_bytes() - own < block.nbytes
    finally:
        worker.communicate(b"\n")
    assert memory.held_bytes(worker.pid) == 0


def test_counting_starts_anew_with_what_is_held_now() -> None:
    block = np.ones(40_000_000)
    held = memory.held_bytes()
    del block
    memory.count_anew()
    assert memory.peak_memory_bytes() <= held - 300_000_000
