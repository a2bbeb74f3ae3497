"""What `torchrun` tells each of the processes it starts: how many there are, and which one this is."""

from __future__ import annotations

import os


def num_ranks() -> int:
    """The number of processes that train together, on all machines; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ["RANK"]) if num_ranks() > 1 else 0


def is_first() -> bool:
    """Whether this process is the only one, or the one of several that writes and reports."""
    return rank() == 0


def local_rank() -> int:
    """The number of this process among those of its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0")) if num_ranks() > 1 else 0


def num_local_ranks() -> int:
    """The number of processes on this machine that train together."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if num_ranks() > 1 else 1
