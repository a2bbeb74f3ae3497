"""How much memory the run has held, and giving back to the system what the allocator keeps."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path

_workers_bytes = 0


def held_bytes(process: int | str = "self") -> int:
    """The most that a process has held since its program began; 0 for one that is gone or cannot be looked at.

    Not `getrusage`: that counts for a child what its parent held when it was started.
    """
    if (found := _status(process)) is not None:
        return found.get("VmHWM", 0)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return own if sys.platform == "darwin" else own * 1024


def _status(process: int | str) -> dict[str, int] | None:
    """The kernel's counts of a process in bytes, none where it keeps no such file."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(errors="replace").splitlines()
    except OSError:
        return None if process == "self" else {}
    return {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")}


def note_workers(*processes: int) -> None:
    """Look at workers while they live, so that `peak_memory_bytes` counts them, but for libraries that are shared."""
    global _workers_bytes
    held = sum(held_bytes(process) - (_status(process) or {}).get("RssFile", 0) for process in processes)
    _workers_bytes = max(_workers_bytes, held)


def peak_memory_bytes() -> int:
    """The most this process has held, plus the most that workers of one time have held together, since `count_anew`."""
    return held_bytes() + _workers_bytes


def count_anew() -> None:
    """Let what was held before no longer count, where the kernel allows it; drop what nobody uses first."""
    global _workers_bytes
    gc.collect()
    give_back()
    _workers_bytes = 0
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def give_back() -> None:
    """Hand freed blocks back to the system; takes about 0.03 s per GiB.

    Rows of all lengths leave holes of all sizes in glibc's heap, and it grows for hundreds of steps (docs/lab-log.md).
    """
    with contextlib.suppress(OSError, AttributeError):  # other C libraries have no such call
        ctypes.CDLL(None).malloc_trim(0)
