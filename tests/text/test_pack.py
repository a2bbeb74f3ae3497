"""Layouts of encoder rows: every token in its place, nothing over the limit, nothing lost that fits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.text.pack import Row, Specials, chunks_by_length, pack_joint, pack_passage, pack_query, pad

SPECIALS = Specials(cls=101, sep=102, mask=103, pad=0)
CLS, SEP = SPECIALS.cls, SPECIALS.sep
tokens = st.lists(st.integers(200, 999), max_size=40)


def common_prefix(a: list[int], b: list[int]) -> bool:
    return a == b[: len(a)]


@given(tokens, st.integers(3, 60))
def test_a_query_stands_between_cls_and_sep(query: list[int], limit: int) -> None:
    row = pack_query(query, SPECIALS, limit)
    ids = row.ids.tolist()
    assert (ids[0], ids[-1]) == (CLS, SEP)
    assert ids[1:-1] == query[: limit - 2]
    assert row.second == len(row) == min(limit, len(query) + 2)


@given(tokens, tokens, st.integers(4, 80))
def test_a_passage_is_title_and_body_each_closed_by_sep(title: list[int], body: list[int], limit: int) -> None:
    row = pack_passage(title, body, SPECIALS, limit)
    ids = row.ids.tolist()
    assert len(ids) <= limit
    assert ids.count(SEP) == 2
    assert (ids[0], ids[row.second - 1], ids[-1]) == (CLS, SEP, SEP)
    kept_title, kept_body = ids[1 : row.second - 1], ids[row.second : -1]
    assert common_prefix(kept_title, title)
    assert common_prefix(kept_body, body)
    if len(title) <= limit // 2 and len(title) + len(body) + 3 <= limit:
        assert (kept_title, kept_body) == (title, body)
    elif len(kept_body) < len(body):
        assert len(ids) == limit, "what is cut is cut for want of room"


@given(tokens, tokens, tokens, st.integers(0, 40))
def test_query_and_body_are_read_together(query: list[int], body: list[int], title: list[int], room: int) -> None:
    limit = len(query) + 3 + room
    row, start = pack_joint(query, body, SPECIALS, limit, title)
    ids = row.ids.tolist()
    assert len(ids) <= limit
    assert ids[: row.second] == [CLS, *query, SEP], "the query is never cut: its masks have to stay"
    lead = ids[row.second : start]
    assert lead == ([*lead[:-1], SEP] if lead else [])
    assert common_prefix(lead[:-1], title)
    assert common_prefix(ids[start:-1], body)
    assert ids[-1] == SEP
    needed = len(query) + 2 + (len(title) + 1 if title else 0) + len(body) + 1
    if needed <= limit:
        assert lead == ([*title, SEP] if title else [])
        assert ids[start:-1] == body
    elif len(ids[start:-1]) < len(body):
        assert len(ids) >= limit - 1, "only the title's own SEP may be left without room"


def test_the_layouts_of_the_paper_token_by_token() -> None:
    assert pack_query([7, 8], SPECIALS, 9).ids.tolist() == [CLS, 7, 8, SEP]
    passage = pack_passage([5], [7, 8], SPECIALS, 9)
    assert (passage.ids.tolist(), passage.second) == ([CLS, 5, SEP, 7, 8, SEP], 3)
    joint, start = pack_joint([7, SPECIALS.mask], [8, 9], SPECIALS, 9)
    assert (joint.ids.tolist(), joint.second, start) == ([CLS, 7, SPECIALS.mask, SEP, 8, 9, SEP], 4, 4)
    titled, start = pack_joint([7], [8, 9], SPECIALS, 9, [5])
    assert (titled.ids.tolist(), titled.second, start) == ([CLS, 7, SEP, 5, SEP, 8, 9, SEP], 3, 5)


@pytest.mark.parametrize("limit", [3, 4, 64])
def test_the_null_passage_is_two_separators(limit: int) -> None:
    assert pack_passage((), (), SPECIALS, limit).ids.tolist() == [CLS, SEP, SEP]
    row, start = pack_joint([7], (), SPECIALS, 64)
    assert (row.ids.tolist(), start) == ([CLS, 7, SEP, SEP], 3)


@given(st.lists(st.integers(1, 30), max_size=50), st.integers(1, 12))
def test_chunks_hold_every_index_once_short_rows_first(lengths: list[int], size: int) -> None:
    chunks = list(chunks_by_length(lengths, size))
    flat = [index for chunk in chunks for index in chunk]
    assert sorted(flat) == list(range(len(lengths)))
    assert [lengths[i] for i in flat] == sorted(lengths)
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= size for chunk in chunks)


@given(st.lists(st.tuples(st.lists(st.integers(0, 999), min_size=1, max_size=20), st.integers(0, 20)), min_size=1))
def test_padding_loses_nothing_and_marks_what_is_real(made: list[tuple[list[int], int]]) -> None:
    rows = [Row(np.array(ids, dtype=np.int64), min(second, len(ids))) for ids, second in made]
    ids, real, segments = pad(rows, SPECIALS.pad)
    longest = max(len(row) for row in rows)
    assert ids.shape == real.shape == segments.shape == (len(rows), longest)
    for n, row in enumerate(rows):
        assert ids[n][real[n]].tolist() == row.ids.tolist()
        assert real[n].tolist() == [True] * len(row) + [False] * (longest - len(row))
        assert (ids[n][~real[n]] == SPECIALS.pad).all()
        expected = [int(row.second <= place < len(row)) for place in range(longest)]
        assert segments[n].tolist() == expected
