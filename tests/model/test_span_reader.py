"""Span scores compared with a loop over every span of every row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from openrealm.model.realm import Realm
from openrealm.model.span_reader import SpanReader
from openrealm.text.pack import Row, Specials, pack_joint

SPECIALS = Specials(cls=2, sep=3, mask=4, pad=0)


@pytest.fixture(scope="module")
def span_reader(realm_in_float64: Realm) -> SpanReader:
    torch.manual_seed(1)
    return SpanReader(realm_in_float64.reader.encoder, 16, max_span_tokens=4).double().eval()


def spans(reader: SpanReader, row: Row, body_start: int) -> Iterator[tuple[int, int, float]]:
    """(first, last, g) of every span of at most W tokens in the body."""
    [(_, hidden_1TH, _)] = reader.encoder.chunks([row])
    body_PH = hidden_1TH[0, body_start : len(row) - 1]
    for first in range(len(body_PH)):
        for last in range(first, min(first + reader.max_span_tokens, len(body_PH))):
            h = reader.norm(torch.relu(reader.start(body_PH[first]) + reader.end(body_PH[last])))
            yield first, last, float(reader.score(h))


@pytest.mark.parametrize("title", [[], [7, 8]])
@torch.no_grad()
def test_spans_are_scored_by_their_first_and_last_tokens(span_reader: SpanReader, title: list[int]) -> None:
    rng = np.random.default_rng(2)
    made = [
        pack_joint(rng.integers(5, 300, 1 + n % 6), rng.integers(5, 300, size), SPECIALS, 40, title)
        for n, size in enumerate([1, 30, 3, 0, 17, 2, 60])
    ]
    rows, starts = [row for row, _ in made], [start for _, start in made]
    g_nPW, valid_nPW = span_reader(rows, starts)
    assert g_nPW.shape == valid_nPW.shape
    assert g_nPW.shape[0::2] == (7, 4)
    for n, (row, start) in enumerate(made):
        expected = {(first, last - first): g for first, last, g in spans(span_reader, row, start)}
        assert {(int(p), int(w)) for p, w in valid_nPW[n].nonzero()} == set(expected)
        for (first, width), g in expected.items():
            assert float(g_nPW[n, first, width]) == pytest.approx(g, rel=1e-9, abs=1e-9)


def test_a_batch_of_empty_bodies_has_no_valid_span(span_reader: SpanReader) -> None:
    row, start = pack_joint([9, 10], [], SPECIALS, 40)
    for rows in ([row], [row, row]):
        g_nPW, valid_nPW = span_reader(rows, [start] * len(rows))
        assert g_nPW.shape == (len(rows), 1, 4)
        assert not bool(valid_nPW.any())
