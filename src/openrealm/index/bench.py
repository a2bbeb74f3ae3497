"""Ways to store and search the vectors of an index, measured: recall, speed, size and memory.

Each way is measured in a process of its own (`bench_worker`), so that the memory is what that way needs.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from typing_extensions import TypedDict

from openrealm import files, subprocesses
from openrealm.config import Storage
from openrealm.errors import BadInput
from openrealm.index.index import Index
from openrealm.index.recall import NUM_QUERIES, RESULTS, recalls
from openrealm.progress import say
from openrealm.stored import of_kind

SECONDS = 2.0
"""How long each way is timed, for batches and for single queries."""
MODULE = "openrealm.index.bench_worker"


@dataclass(frozen=True, slots=True)
class Way:
    """A way to search an index: how vectors are stored, and the name of a searcher."""

    name: str
    storage: Storage
    searcher: str


class Answered(TypedDict):
    """What a worker measured: see `Measured`; `ids`, the passages found, B x K."""

    ids: list[list[int]]
    queries_per_second: float
    milliseconds: float
    open_seconds: float
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of one way.

    recall              by number of results, against exact search of the vectors as they are stored
    queries_per_second  in batches of 64
    milliseconds        for a query asked alone, median
    open_seconds        to open the index, unverified, and to build the search structure
    resident_bytes      by which the process has grown since before opening, mapped files included
    disk_bytes          size of the files that are mapped
    """

    name: str
    recall: dict[str, float]
    queries_per_second: float
    milliseconds: float
    open_seconds: float
    resident_bytes: int
    disk_bytes: int


def ways(storage: Storage, searchers: Sequence[str] = ()) -> list[Way]:
    """What can be compared for an index of this storage: its own vectors, smaller ones, FAISS if installed, and more.

    >>> [way.name for way in ways("fp16", ["half"])][:2]
    ['exact, fp16', 'int8']
    """
    found = [Way("exact, fp32", "fp32", "exact")] if storage == "fp32" else []
    found += [Way("exact, fp16", "fp16", "exact"), Way("int8", "int8", "int8")]
    own: Storage = "fp32" if storage == "fp32" else "fp16"
    faiss = ["faiss"] if importlib.util.find_spec("faiss") is not None else []
    return found + [Way(name, own, name) for name in [*faiss, *searchers]]


def bench(version: Path, query_BD: Tensor | None, searchers: Sequence[str] = ()) -> list[Measured]:
    """Measure all `ways` to search an index version; the first is exact search of what is stored.

    query_BD   vectors of queries; None takes up to 200 passages, drawn at random
    searchers  more searchers by name
    Vectors that are not stored in the form that is measured are written to a temporary folder.
    Raises BadInput if a worker fails.
    """
    index = Index.open(version)
    if query_BD is None:
        chosen = torch.randperm(len(index), generator=torch.Generator().manual_seed(0))[:NUM_QUERIES]
        query_BD = index.vector_ND[chosen].float()
    found: list[Measured] = []
    exact_BK: Tensor | None = None
    with TemporaryDirectory(prefix="openrealm-") as temporary:
        queries = Path(temporary) / "queries.safetensors"
        files.stream_safetensors(queries, {"queries": query_BD.float()})
        stored = {index.storage: version, **({"fp16": version} if index.storage == "int8" else {})}
        for way in ways(index.storage, searchers):
            say(f"index bench: {way.name}")
            if way.storage not in stored:
                copy = Index(index.vector_ND, index.binding, storage=way.storage)
                stored[way.storage] = copy.save(Path(temporary) / way.storage)
            answered = _measured(stored[way.storage], way, queries)
            id_BK = torch.tensor(answered["ids"])
            exact_BK = id_BK if exact_BK is None else exact_BK
            mapped = ("vectors.safetensors", *(["codes.safetensors"] if way.storage == "int8" else []))
            found.append(
                Measured(
                    name=way.name,
                    recall=recalls(id_BK, exact_BK),
                    queries_per_second=answered["queries_per_second"],
                    milliseconds=answered["milliseconds"],
                    open_seconds=answered["open_seconds"],
                    resident_bytes=answered["resident_bytes"],
                    disk_bytes=sum((stored[way.storage] / file).stat().st_size for file in mapped),
                )
            )
    return found


def _measured(version: Path, way: Way, queries: Path) -> Answered:
    order = [str(version), way.searcher, str(queries), str(max(RESULTS)), str(torch.get_num_threads())]
    done = subprocess.run(
        subprocesses.command(MODULE, *order), env=subprocesses.environment(), capture_output=True, text=True
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise BadInput(f"{way.name} could not be measured: {last}")
    return of_kind(Answered, json.loads(done.stdout.splitlines()[-1]), MODULE, "run the command again")
