"""How much memory the run has held, and giving back to the system what the allocator keeps."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path

_largest_worker = 0


def held_bytes(process: int | str = "self") -> int:
    """The most that a process has held since its program began; 0 for one that is gone or cannot be looked at.

    Not `getrusage`: that counts for a child what its parent held when it was started.
    """
    status = Path(f"/proc/{process}/status")
    with contextlib.suppress(OSError):
        for line in status.read_text(errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if process != "self":
        return 0
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return own if sys.platform == "darwin" else own * 1024


def note_worker(process: int) -> None:
    """Look at a worker while it lives, so that `peak_memory_bytes` counts it."""
    global _largest_worker
    _largest_worker = max(_largest_worker, held_bytes(process))


def peak_memory_bytes() -> int:
    """The most this process has held, plus the most that any one of its workers has held, since `count_anew`."""
    return held_bytes() + _largest_worker


def count_anew() -> None:
    """Let what was held before no longer count, where the kernel allows it; drop what nobody uses first."""
    global _largest_worker
    gc.collect()
    give_back()
    _largest_worker = 0
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def give_back() -> None:
    """Hand freed blocks back to the system; takes about 0.03 s per GiB.

    Rows of all lengths leave holes of all sizes in glibc's heap, and it grows for hundreds of steps (docs/lab-log.md).
    """
    with contextlib.suppress(OSError, AttributeError):  # other C libraries have no such call
        ctypes.CDLL(None).malloc_trim(0)
