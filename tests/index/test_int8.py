"""Search by vectors in 8 bits."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from openrealm.index.exact import ExactSearcher
from openrealm.index.int8 import Codes, Int8Searcher
from openrealm.index.recall import recalls


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).float()


@given(st.integers(0, 2**31), st.integers(1, 50), st.integers(1, 20), st.floats(1e-6, 1e4))
def test_codes_are_off_by_half_a_step_at_most(seed: int, num_rows: int, dim: int, size: float) -> None:
    vector_ND = normal(seed, num_rows, dim) * size
    vector_ND[:, 0] = 0
    codes = Codes.of(vector_ND)
    assert codes.code_ND.dtype == torch.int8
    assert int(codes.code_ND.min()) >= -127, "symmetric"
    error_ND = (codes.code_ND * codes.scale_D - vector_ND).abs()
    assert bool((error_ND <= 0.5001 * codes.scale_D).all())
    assert codes.code_ND[:, 0].unique().tolist() == [0]


@given(st.integers(0, 2**31), st.integers(1, 200), st.integers(1, 5), st.sampled_from([1, 3, 128]), st.integers(1, 60))
def test_the_best_by_codes_are_scored_again_in_any_blocks_and_batches(
    seed: int, num_passages: int, num_queries: int, dim: int, k: int
) -> None:
    rows = normal(seed, max(1, num_passages // 3), dim)
    vector_ND = rows[torch.arange(num_passages) % len(rows)].half()  # ties
    query_BD = normal(seed + 1, num_queries, dim)
    codes = Codes.of(vector_ND)
    score_BK, id_BK = Int8Searcher(vector_ND, codes).search(query_BD, k)
    assert score_BK.shape == id_BK.shape == (num_queries, min(k, num_passages))
    scaled_BD = (query_BD * codes.scale_D).double()
    code_BD = (scaled_BD / scaled_BD.abs().amax(dim=1, keepdim=True) * 127).float().round().long()
    for b in range(num_queries):
        by_code = [sum(x * y for x, y in zip(code_BD[b].tolist(), row, strict=True)) for row in codes.code_ND.tolist()]
        best = sorted(range(num_passages), key=lambda i: (-by_code[i], i))[: max(4 * k, 64)]
        exact_1K, place_1K = ExactSearcher(vector_ND[sorted(best)]).search(query_BD[b : b + 1], k)
        assert id_BK[b].tolist() == [sorted(best)[place] for place in place_1K[0].tolist()]
        assert score_BK[b].tolist() == exact_1K[0].tolist()
        for block_rows in (1, 7):
            alone = Int8Searcher(vector_ND, codes, block_rows=block_rows).search(query_BD[b : b + 1], k)
            assert torch.equal(alone[0][0], score_BK[b])
            assert torch.equal(alone[1][0], id_BK[b])


def test_nearly_all_of_the_best_are_found() -> None:
    vector_ND, query_BD = normal(0, 20_000, 64), normal(1, 100, 64)
    exact_BK = ExactSearcher(vector_ND).search(query_BD, 20)[1]
    found = recalls(Int8Searcher(vector_ND.half()).search(query_BD, 20)[1], exact_BK)
    assert min(found.values()) > 0.99


def test_a_query_of_zeros_finds_the_first_passages() -> None:
    assert Int8Searcher(normal(0, 9, 4)).search(torch.zeros(1, 4), 3)[1].tolist() == [[0, 1, 2]]
