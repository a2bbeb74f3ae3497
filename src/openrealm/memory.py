"""How much memory the run has held, and giving back to the system what the allocator keeps."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys

_largest_worker = 0


def held_bytes(process: int | str = "self") -> int:
    """The most that a process has held since its program began; 0 for one that is gone or cannot be looked at.

    Not `getrusage`: that counts for a child what its parent held when it was started.
    """
    with contextlib.suppress(OSError):
        with open(f"/proc/{process}/status", encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return 0
    if process != "self":
        return 0
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return own if sys.platform == "darwin" else own * 1024


def note_worker(process: int) -> None:
    """Look at a worker while it lives, so that `peak_memory_bytes` counts it."""
    global _largest_worker
    _largest_worker = max(_largest_worker, held_bytes(process))


def peak_memory_bytes() -> int:
    """The most this process has held, plus the most that any one of its workers has held, in bytes."""
    return held_bytes() + _largest_worker


def give_back() -> None:
    """Hand freed blocks back to the system; takes about 0.03 s per GiB.

    Rows of all lengths leave holes of all sizes in glibc's heap, and it grows for hundreds of steps (docs/lab-log.md).
    """
    with contextlib.suppress(OSError, AttributeError):  # other C libraries have no such call
        ctypes.CDLL(None).malloc_trim(0)
