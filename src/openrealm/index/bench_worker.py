"""The process that `openrealm.index.bench` starts to measure one way to search an index; it prints a line of JSON."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from openrealm.index.bench import SECONDS, Answered
from openrealm.index.index import Index, map_tensors
from openrealm.memory import resident_bytes
from openrealm.progress import show

_BATCH = 64


def work(version: Path, searcher: str, queries: Path, k: int, num_threads: int) -> Answered:
    """Open an index version, search it for the vectors in the file `queries`, and say how long that took."""
    torch.set_num_threads(num_threads)
    query_BD = map_tensors(queries)["queries"]
    held, started = resident_bytes(), time.perf_counter()
    index = Index.open(version, searcher=searcher, verify=False)
    open_seconds = time.perf_counter() - started
    ids = index.search(query_BD, k).id_BK.tolist()
    repeated_BD = query_BD.repeat(-(-_BATCH // len(query_BD)), 1)[:_BATCH]
    batches = _seconds(lambda number: index.search(repeated_BD, k))
    single = _seconds(lambda number: index.search(query_BD[number % len(query_BD)], k))
    return {
        "ids": ids,
        "queries_per_second": _BATCH / statistics.median(batches),
        "milliseconds": 1000 * statistics.median(single),
        "open_seconds": open_seconds,
        "resident_bytes": resident_bytes() - held,
    }


def _seconds(search: Callable[[int], object]) -> list[float]:
    """How long each of several calls took, after a first one."""
    search(0)
    seconds: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(seconds) < 3 or time.perf_counter() < end:
        started = time.perf_counter()
        search(len(seconds))
        seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    show(json.dumps(work(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))))
