from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from openrealm import memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory counters are read from /proc")


def test_the_peak_includes_memory_freed_since() -> None:
    before = memory.held_bytes()
    block = np.ones(before // 8 + 20_000_000)
    held = memory.held_bytes()
    del block
    assert held >= before + 160_000_000
    # The kernel updates its counters in batches of pages.
    assert memory.peak_memory_bytes() >= held - 1_000_000


def test_a_worker_counts_with_its_own_memory_only(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_the_peak_restarts_from_the_current_memory() -> None:
    block = np.ones(40_000_000)
    held = memory.held_bytes()
    del block
    memory.reset_peak()
    assert memory.peak_memory_bytes() <= held - 300_000_000
