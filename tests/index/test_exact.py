"""Exact search compared with sorting all scores; ties, shards, blocks and excluded groups."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from openrealm.index.exact import ExactSearcher
from openrealm.index.index import Binding, Index
from openrealm.index.searcher import merged

BINDING = Binding("e", "t", "c")
DTYPES = [torch.float32, torch.float16]


def slow_search(vectors: torch.Tensor, query: torch.Tensor, count: int) -> list[int]:
    """Passage numbers by score, best first, equal scores by number."""
    scores = (vectors @ query).tolist()
    return sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:count]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of small integers: inner products are exact, and many are equal."""
    num_passages, num_queries = draw(st.integers(1, 40)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    spread = draw(st.sampled_from([1, 2, 50]))

    def whole(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.integers(-spread, spread + 1, shape)).float()

    return whole(num_passages, 3), whole(num_queries, 3)


@given(worlds(), st.integers(1, 45))
def test_search_agrees_with_sorting_all_scores(world: tuple[torch.Tensor, torch.Tensor], count: int) -> None:
    vector_ND, query_BD = world
    score_BK, id_BK = ExactSearcher(vector_ND).search(query_BD, count)
    assert score_BK.shape == id_BK.shape == (len(query_BD), min(count, len(vector_ND)))
    for query, scores, ids in zip(query_BD, score_BK, id_BK.tolist(), strict=True):
        assert ids == slow_search(vector_ND, query, count)
        assert scores.tolist() == (vector_ND @ query)[ids].tolist()


@st.composite
def sharded(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, list[int], int]:
    """Vectors of any numbers with repeated rows, the borders of shards, and the rows of a block."""
    num_passages, num_queries = draw(st.integers(1, 60)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    rows = rng.standard_normal((draw(st.integers(1, num_passages)), draw(st.sampled_from([1, 5, 128]))))
    vector_ND = torch.from_numpy(rows[rng.integers(0, len(rows), num_passages)]).to(draw(st.sampled_from(DTYPES)))
    borders = sorted({0, num_passages, *rng.integers(0, num_passages, draw(st.integers(0, 5))).tolist()})
    query_BD = torch.from_numpy(rng.standard_normal((num_queries, rows.shape[1]))).float()
    return vector_ND, query_BD, borders, draw(st.integers(1, 70))


@given(sharded(), st.integers(1, 65))
def test_shards_blocks_and_batches_change_no_bit(
    world: tuple[torch.Tensor, torch.Tensor, list[int], int], count: int
) -> None:
    vector_ND, query_BD, borders, block_rows = world
    shards = []
    for first, last in pairwise(borders):
        score_BK, id_BK = ExactSearcher(vector_ND[first:last], block_rows=block_rows).search(query_BD, count)
        shards.append((score_BK, id_BK + first))
    score_BK, id_BK = merged(shards, count)
    for b, query_D in enumerate(query_BD):
        score_N = [math.fsum((row.double() * query_D.double()).tolist()) for row in vector_ND]
        slow = torch.tensor(score_N, dtype=torch.float32).tolist()
        assert id_BK[b].tolist() == sorted(range(len(slow)), key=lambda i: (-slow[i], i))[:count]
        assert score_BK[b].tolist() == sorted(slow, reverse=True)[:count]
        alone = ExactSearcher(vector_ND).search(query_D[None], count)
        assert torch.equal(alone[0][0], score_BK[b])
        assert torch.equal(alone[1][0], id_BK[b])


def test_many_copies_of_a_passage_over_many_blocks_come_in_order() -> None:
    generator = torch.Generator().manual_seed(0)
    row_D = torch.randn(128, generator=generator)
    searcher = ExactSearcher(row_D.expand(5000, -1), block_rows=700)
    assert searcher.search(torch.randn(300, 128, generator=generator), 9)[1].tolist() == [list(range(9))] * 300


def test_of_a_thousand_equal_passages_the_first_come_first() -> None:
    _, id_BK = ExactSearcher(torch.ones(1000, 2)).search(torch.ones(2, 2), 5)
    assert id_BK.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_ties_with_the_last_result_go_to_the_smaller_numbers() -> None:
    vector_ND = torch.ones(500, 1)
    vector_ND[[300, 7]] = 2.0
    score_BK, id_BK = ExactSearcher(vector_ND).search(torch.ones(1, 1), 4)
    assert id_BK.tolist() == [[7, 300, 0, 1]]
    assert score_BK.tolist() == [[2.0, 2.0, 1.0, 1.0]]


def test_autocast_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    vector_ND, query_BD = (torch.randn(n, 64, generator=generator) for n in (500, 5))
    with torch.autocast("cpu", torch.bfloat16):
        found = ExactSearcher(vector_ND).search(query_BD, 30)
    assert all(map(torch.equal, found, ExactSearcher(vector_ND).search(query_BD, 30)))


@given(worlds(), st.integers(1, 8), st.integers(1, 5), st.integers(0, 2**31))
def test_excluded_groups_are_never_found_and_enough_others_are(
    world: tuple[torch.Tensor, torch.Tensor], count: int, num_groups: int, seed: int
) -> None:
    vector_ND, query_BD = world
    rng = np.random.default_rng(seed)
    drawn = torch.from_numpy(rng.integers(0, num_groups, len(vector_ND)))
    group_N = torch.tensor([drawn.tolist().index(group) for group in drawn.tolist()])  # the first passage of each group
    excluded = [rng.integers(0, len(vector_ND), rng.integers(0, 3)).tolist() for _ in query_BD]
    hits = Index(vector_ND, BINDING, group_N=group_N).search(query_BD, count, exclude=excluded)
    for query, ids, scores, bad in zip(query_BD, hits.passages(), hits.score_BK, excluded, strict=True):
        groups = {int(group_N[i]) for i in bad}
        allowed = [i for i in slow_search(vector_ND, query, len(vector_ND)) if int(group_N[i]) not in groups]
        assert ids == allowed[:count]
        assert scores[: len(ids)].tolist() == (vector_ND @ query)[ids].tolist()
        assert scores[len(ids) :].tolist() == [-torch.inf] * (len(scores) - len(ids))


def test_a_group_larger_than_the_first_request_does_not_starve_a_query() -> None:
    vector_ND = torch.arange(300, 0, -1).float()[:, None]
    index = Index(vector_ND, BINDING, group_N=torch.cat([torch.zeros(250, dtype=torch.long), torch.arange(250, 300)]))
    hits = index.search(torch.ones(2, 1), 3, exclude=[[7], [250]])
    assert hits.passages() == [[250, 251, 252], [0, 1, 2]]


class ThreeAtMost(ExactSearcher):
    """An approximate searcher that finds no more than three passages."""

    def search(self, query_BD: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        return super().search(query_BD, min(k, 3))


def test_a_searcher_that_finds_too_few_ends_the_search() -> None:
    index = Index(torch.arange(9, 0, -1).float()[:, None], BINDING, searcher=ThreeAtMost)
    assert index.search(torch.ones(1, 1), 3, exclude=[[0, 1]]).passages() == [[2]]
