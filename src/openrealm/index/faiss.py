"""Approximate search by FAISS, an optional package: inverted lists, and whatever else its factory builds."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from openrealm.errors import BadConfig, NotInstalled
from openrealm.index.exact import ExactSearcher
from openrealm.index.rows import StoredRows
from openrealm.index.searcher import Best, inner_products
from openrealm.progress import warn

_ROWS_AT_ONCE = 1 << 16
_TO_TRAIN, _MOST_TO_TRAIN = 39, 64  # vectors per centroid; FAISS warns below the first
_RESCORED_PER_RESULT, _MIN_RESCORED = 4, 64
_PROBES = 3  # times the square root of the number of lists: an eighth of 512


class FaissSearcher:
    """The searcher "faiss", or "faiss:FACTORY" with a string of FAISS's index factory, such as "IVF4096,SQ8".

    By default, inverted lists of vectors in 8 bits: four times the square root of the number of vectors. Of inverted
    lists, three times the square root of their number are searched for a query. The best passages, four times as many
    as were asked for, get the scores of `ExactSearcher`. Where there are too few
    vectors to cluster, and for queries whose lists hold too few passages, search is exact. The structure is built in
    memory whenever an index is opened.
    """

    def __init__(self, vector_ND: Tensor, argument: str = "", rows: Tensor | StoredRows | None = None) -> None:
        """Build FAISS's index of `vector_ND`, in float32 or float16.

        argument  the factory string
        rows      where the vectors to score are taken from; None means `vector_ND`
        Raises NotInstalled without FAISS, BadConfig for a string that it cannot read.
        """
        faiss = _faiss()
        faiss.omp_set_num_threads(torch.get_num_threads())
        self._rows, self._exact = vector_ND if rows is None else rows, ExactSearcher(vector_ND)
        self._num_passages = len(vector_ND)
        num_passages, dim = vector_ND.shape
        num_lists = 1 << round(math.log2(4 * math.sqrt(max(1, num_passages))))
        try:
            index = faiss.index_factory(dim, argument or f"IVF{num_lists},SQ8", faiss.METRIC_INNER_PRODUCT)
        except RuntimeError as error:
            raise BadConfig(
                f"FAISS has no index {argument!r} for {dim} dimensions; give a string of its index factory, such as "
                "faiss:IVF4096,SQ8."
            ) from error
        inverted = faiss.try_extract_index_ivf(index)
        num_centroids = inverted.nlist if inverted is not None else 256
        self._index = None if not index.is_trained and num_passages < _TO_TRAIN * num_centroids else index
        if self._index is None:
            if argument:
                warn(f"{num_passages:,} passages are too few for faiss:{argument}; they are searched exactly.")
            return
        if inverted is not None:
            inverted.nprobe = min(inverted.nlist, round(_PROBES * math.sqrt(inverted.nlist)))
        if not index.is_trained:
            sample = torch.randperm(num_passages, generator=torch.Generator().manual_seed(0))
            index.train(vector_ND[sample[: _MOST_TO_TRAIN * num_centroids].sort().values].float().numpy())
        for vector_nD in vector_ND.split(_ROWS_AT_ONCE):  # type: ignore[no-untyped-call]
            index.add(vector_nD.float().numpy())

    def search(self, query_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and passage numbers, both B x min(k, N), best first, equal scores in passage order."""
        if self._index is None or not len(query_BD):
            return self._exact.search(query_BD, k)
        num_passages = self._num_passages
        k = min(k, num_passages)
        num_found = min(max(_RESCORED_PER_RESULT * k, _MIN_RESCORED), num_passages)
        id_BR = torch.from_numpy(self._index.search(query_BD.contiguous().numpy(), num_found)[1])
        is_found_BR = id_BR >= 0
        lacks_B = is_found_BR.sum(dim=1) < k
        query_P, place_P = (is_found_BR & ~lacks_B[:, None]).nonzero(as_tuple=True)
        best = Best(len(query_BD), k, torch.float32)
        id_P = id_BR[query_P, place_P]
        best.offer(query_P, inner_products(query_BD, query_P, self._rows, id_P), id_P)
        if bool(lacks_B.any()):
            score_LK, id_LK = self._exact.search(query_BD[lacks_B], k)
            query_L = lacks_B.nonzero()[:, 0].repeat_interleave(k)
            best.offer(query_L, score_LK.flatten(), id_LK.flatten())
        return best.results(k)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise NotInstalled('The searcher faiss needs faiss-cpu: pip install "openrealm[faiss]".') from error
    return faiss
