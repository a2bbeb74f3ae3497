"""Search by FAISS, where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from openrealm.errors import BadConfig
from openrealm.index.exact import ExactSearcher
from openrealm.index.index import Binding, Index
from openrealm.index.recall import recalls

pytest.importorskip("faiss")


def clustered(seed: int, num: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((50, 16))
    return torch.from_numpy(centres[rng.integers(0, 50, num)] + 0.3 * rng.standard_normal((num, 16))).float()


@pytest.mark.parametrize("searcher", ["faiss", "faiss:IVF64,Flat", "faiss:HNSW16"])
def test_most_of_the_best_are_found_and_scored_exactly(searcher: str) -> None:
    vector_ND, query_BD = clustered(1, 30_000), clustered(2, 50)
    index = Index(vector_ND, Binding("e", "t", "c"), searcher=searcher)
    hits = index.search(query_BD, 20)
    exact = ExactSearcher(vector_ND).search(query_BD, 20)
    assert recalls(hits.id_BK, exact[1])["8"] > 0.8
    products_BK = (query_BD[:, None].double() * vector_ND[hits.id_BK].double()).sum(dim=2).float()
    assert torch.equal(hits.score_BK, products_BK)
    assert hits.score_BK.tolist() == hits.score_BK.sort(descending=True).values.tolist()


@pytest.mark.parametrize("searcher", ["faiss", "faiss:IVF64,Flat", "faiss:PQ4"])
def test_too_few_vectors_to_cluster_are_searched_exactly(searcher: str) -> None:
    vector_ND, query_BD = clustered(1, 9), clustered(2, 3)
    found = Index(vector_ND, Binding("e", "t", "c"), searcher=searcher).search(query_BD, 20)
    assert all(map(torch.equal, found, ExactSearcher(vector_ND).search(query_BD, 20)))


def test_a_query_whose_lists_hold_too_few_is_searched_exactly() -> None:
    vector_ND, query_BD = clustered(1, 3000), clustered(2, 5)
    found = Index(vector_ND, Binding("e", "t", "c"), searcher="faiss:IVF50,Flat").search(query_BD, 2500)
    assert all(map(torch.equal, found, ExactSearcher(vector_ND).search(query_BD, 2500)))


def test_a_string_that_faiss_cannot_read_is_refused() -> None:
    with pytest.raises(BadConfig, match="FAISS has no index 'IVF' for 16 dimensions; give a string"):
        Index(clustered(1, 9), Binding("e", "t", "c"), searcher="faiss:IVF")
