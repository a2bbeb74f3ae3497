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


def note_worker(process: int) -> None:
    """Look at a worker while it lives, so that `peak_memory_bytes` counts it, but for the libraries that both share."""
    global _largest_worker
    _largest_worker = max(_largest_worker, held_bytes(process) - (_status(process) or {}).get("RssFile", 0))


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
