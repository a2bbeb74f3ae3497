"""How far two versions are apart, against loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from openrealm.errors import Mismatch
from openrealm.index.compare import difference
from openrealm.index.index import Binding, Index


def index_of(vector_ND: Tensor, corpus: str = "c") -> Index:
    return Index(vector_ND, Binding("e", "t", corpus))


def test_a_version_does_not_differ_from_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    index = index_of(torch.randn(50, 8, generator=generator))
    found = difference(index, index, torch.randn(5, 8, generator=generator), 4)
    assert found.row() == pytest.approx({"overlap": 1, "rank_correlation": 1, "drift": 0}, abs=1e-6)


def test_numbers_agree_with_loops() -> None:
    generator = torch.Generator().manual_seed(1)
    first, second, query_BD = (torch.randn(n, 6, generator=generator) for n in (40, 40, 7))
    found = difference(index_of(first), index_of(second), query_BD, 5)
    overlaps, correlations = [], []
    for query_D in query_BD:
        tops = [set((vectors @ query_D).topk(5).indices.tolist()) for vectors in (first, second)]
        overlaps.append(len(tops[0] & tops[1]) / 5)
        either = sorted(tops[0] | tops[1])
        orders = [sorted(either, key=lambda n: float(vectors[n] @ query_D)) for vectors in (first, second)]
        gaps = sum((orders[0].index(n) - orders[1].index(n)) ** 2 for n in either)
        correlations.append(1 - 6 * gaps / (len(either) * (len(either) ** 2 - 1)))
    assert found.overlap == pytest.approx(sum(overlaps) / 7)
    assert found.rank_correlation == pytest.approx(sum(correlations) / 7)
    cosines = [float(a @ b / a.norm() / b.norm()) for a, b in zip(first, second, strict=True)]
    assert found.drift_N.tolist() == pytest.approx([1 - cosine for cosine in cosines], abs=1e-5)
    assert found.drift == pytest.approx(1 - sum(cosines) / 40, abs=1e-5)


def test_indexes_of_different_corpora_or_sizes_are_refused() -> None:
    index = index_of(torch.eye(3))
    for other in (index_of(torch.eye(3), "d"), index_of(torch.eye(3)[:2]), index_of(torch.eye(3)[:, :2])):
        with pytest.raises(Mismatch, match="compare versions of the index of one corpus"):
            difference(index, other, torch.ones(1, 3), 1)
