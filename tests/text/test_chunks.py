from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.text import chunks
from openrealm.text.chunks import SPACES, ChunkMemory, Numbers, Rows, starts_of

texts = st.lists(st.text(alphabet="ab1é,. \t\n\r\xa0", max_size=20), max_size=6)


def find(text: str) -> tuple[Numbers, Numbers]:
    """Runs of letters with their length as the value: of these, no character outside a chunk decides anything."""
    matches = list(re.finditer(r"[a-zé]+", text))
    ranges = np.array([match.span() for match in matches], dtype=np.int64).reshape(-1, 2)
    return ranges[:, 1] - ranges[:, 0], ranges


def plain(rows: Rows) -> list[tuple[list[int], list[list[int]]]]:
    return [(values.tolist(), ranges.tolist()) for values, ranges in rows]


def expected(some: list[str]) -> list[tuple[list[int], list[list[int]]]]:
    return [(values.tolist(), ranges.tolist()) for values, ranges in map(find, some)]


@given(calls=st.lists(texts, max_size=4))
def test_what_is_remembered_is_what_would_be_found(calls: list[list[str]]) -> None:
    memory = ChunkMemory(find)
    for some in calls:
        assert plain(memory.rows(some)) == expected(some)


@given(calls=st.lists(texts, max_size=6))
def test_forgetting_changes_nothing(calls: list[list[str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "_MAX_CHUNKS", 3)
        patch.setattr(chunks, "_MAX_FOUND", 4)
        memory = ChunkMemory(find)
        for some in calls:
            assert plain(memory.rows(some)) == expected(some)
            met = {chunk for text in some for chunk in re.split(f"[{SPACES}]", text)}
            assert not some or len(memory._known) <= 3 + len(met)


def test_a_chunk_met_before_is_not_looked_into_again() -> None:
    asked: list[str] = []

    def noting(text: str) -> tuple[Numbers, Numbers]:
        asked.append(text)
        return find(text)

    memory = ChunkMemory(noting)
    for some in (["lima peru", "peru"], ["peru\nlima"], ["chile lima"]):
        memory.rows(some)
    assert asked == ["lima peru", "chile"]


def test_threads_share_one_memory() -> None:
    memory = ChunkMemory(find)
    calls = [[f"word{'a' * (n % 7)} x{'b' * (n % 11)} {'c' * (n % 13)}" for n in range(i, i + 50)] for i in range(200)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(plain, threads.map(memory.rows, calls))) == [expected(some) for some in calls]


def test_starts_when_joined_by_one_character() -> None:
    assert starts_of(["ab", "", "c"]).tolist() == [0, 3, 4]
    assert starts_of([]).tolist() == []
