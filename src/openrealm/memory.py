"""Peak memory of a run, and returning freed memory to the operating system."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import re
import resource
import sys
from pathlib import Path

_workers_bytes = 0
# What libraries and the dynamic linker say when memory runs out; the exceptions are of many types.
_NO_MEMORY = re.compile(
    r"failed to map segment|can(no|')t allocate|can't start new thread|out of memory|bad_alloc|not enough memory", re.I
)


def lacks_memory(error: BaseException) -> bool:
    """Whether an error, or one that led to it, says that memory ran out.

    >>> lacks_memory(ImportError("libtorch_cpu.so: failed to map segment from shared object"))
    True
    """
    found: BaseException | None = error
    while found is not None:
        is_system = isinstance(found, OSError) and found.errno == errno.ENOMEM
        if is_system or isinstance(found, MemoryError) or _NO_MEMORY.search(str(found)):
            return True
        found = found.__cause__ or found.__context__
    return False


def held_bytes(process: int | str = "self") -> int:
    """Peak resident memory of a process; 0 if it is gone or cannot be inspected.

    `getrusage` is no substitute: for a child it includes what its parent held when the child was started.
    """
    if (found := _status(process)) is not None:
        return found.get("VmHWM", 0)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return own if sys.platform == "darwin" else own * 1024


def resident_bytes() -> int:
    """Resident memory of this process now; its peak on systems without /proc."""
    return (_status("self") or {}).get("VmRSS", 0) or held_bytes()


def _status(process: int | str) -> dict[str, int] | None:
    """The kernel's memory counters of a process in bytes, or None on systems without /proc."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(errors="replace").splitlines()
    except OSError:
        return None if process == "self" else {}
    return {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")}


def note_workers(*processes: int) -> None:
    """Sample running workers for `peak_memory_bytes`, without the file-backed pages they share (libraries)."""
    global _workers_bytes
    held = sum(held_bytes(process) - (_status(process) or {}).get("RssFile", 0) for process in processes)
    _workers_bytes = max(_workers_bytes, held)


def peak_memory_bytes() -> int:
    """Peak of this process plus the highest joint peak of its workers, since `reset_peak`."""
    return held_bytes() + _workers_bytes


def reset_peak() -> None:
    """Collect garbage, then restart peak measurement from the current memory, where the kernel allows it."""
    global _workers_bytes
    gc.collect()
    release_freed()
    _workers_bytes = 0
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def release_freed() -> None:
    """Return freed memory to the operating system; takes about 0.03 s per GiB.

    Rows of varying length fragment glibc's heap, which would otherwise grow for hundreds of steps (docs/lab-log.md).
    """
    with contextlib.suppress(OSError, AttributeError):  # only glibc has this function
        ctypes.CDLL(None).malloc_trim(0)
