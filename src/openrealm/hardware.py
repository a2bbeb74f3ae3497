"""The machine and the commit, for reports and model cards."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path


def processor() -> str:
    """The processor's name as reported by the kernel."""
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def memory_bytes() -> int:
    """Memory of this machine, or of the container this process runs in."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = (line for line in _lines(Path("/sys/fs/cgroup/memory.max")) if line.strip().isdigit())
    return min(total, int(next(limits, total)))


def commit_of_checkout() -> str:
    """The short commit hash, followed by "+" if there are local changes; empty if this is not a git checkout."""
    folder = Path(__file__).parent
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return ""
    commit = _git(folder, "rev-parse", "--short", "HEAD") or ""
    return commit + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of git, or None if it fails or is not installed."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.is_file() else []
