"""Queries per second of exact search: `Index.search` against numpy, and against faiss Flat if it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from common import arguments, in_turn, not_measured, rate, report, require_same

_DIM, _BATCH, _RESULTS = 128, 64, 8


def main() -> None:
    given = arguments(__doc__, passages=(100_000, 100_000))
    import numpy as np
    import torch

    from openrealm.index.index import Binding, Index

    torch.set_num_threads(given.threads)
    rng = np.random.default_rng(0)
    vector_ND = rng.standard_normal((given.passages, _DIM), dtype=np.float32)
    query_BD = rng.standard_normal((_BATCH, _DIM), dtype=np.float32)
    index = Index(torch.from_numpy(vector_ND), Binding("", "", ""))
    sides: dict[str, Callable[[], Any]] = {
        "ours": lambda: index.search(query_BD, _RESULTS).id_BK.numpy(),
        "numpy (argpartition)": lambda: by_numpy(vector_ND, query_BD),
    }
    has_faiss = importlib.util.find_spec("faiss") is not None
    if has_faiss:
        sides["faiss Flat"] = faiss_flat(vector_ND, query_BD, given.threads)
    found = {name: run() for name, run in sides.items()}
    require_same("results", all(np.array_equal(found["ours"], ids) for ids in found.values()))
    seconds = in_turn(sides, num_rounds=given.rounds, max_seconds=30 if given.quick else 600)
    name = f"exact search, {given.passages:,} x {_DIM} vectors, batches of {_BATCH}, top {_RESULTS}"
    peers = [peer for peer in sides if peer != "ours"]
    figures = [rate(name, "queries/s", _BATCH, seconds["ours"], peer, seconds[peer]) for peer in peers]
    if not has_faiss:
        figures.append(not_measured(name, "queries/s", "faiss Flat", "faiss is not installed (pip install faiss-cpu)"))
    report(*figures)


def by_numpy(vector_ND: Any, query_BD: Any) -> Any:
    """Numbers of the top passages, B x K, best first."""
    import numpy as np

    score_BN = query_BD @ vector_ND.T
    some_BK = np.argpartition(-score_BN, _RESULTS, axis=1)[:, :_RESULTS]
    order_BK = np.argsort(-np.take_along_axis(score_BN, some_BK, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some_BK, order_BK, axis=1)


def faiss_flat(vector_ND: Any, query_BD: Any, num_threads: int) -> Callable[[], Any]:
    """The same search with `IndexFlatIP`."""
    import faiss  # type: ignore[import-not-found]

    faiss.omp_set_num_threads(num_threads)
    index = faiss.IndexFlatIP(_DIM)
    index.add(vector_ND)
    return lambda: index.search(query_BD, _RESULTS)[1]


if __name__ == "__main__":
    main()
