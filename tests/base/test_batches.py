"""Batches as padded tensors: what is in them, and that they depend on seed, step and rank alone."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from openrealm.base.batches import Batch, Batches, chunks, masked_chunks
from openrealm.base.examples import BaseExamples
from openrealm.base.model import Chunk
from openrealm.base.settings import BaseSettings
from openrealm.base.texts import SpanIndex, Texts
from openrealm.corpus.corpus import Corpus
from openrealm.text.pack import Row

SETTINGS = BaseSettings(heldout_rate=0.2, max_query_tokens=24, max_joint_tokens=128, mlm_batch=12, ict_batch=8)


@pytest.fixture(scope="module")
def examples(toy_corpus: Corpus) -> BaseExamples:
    texts = Texts([toy_corpus, toy_corpus], SETTINGS.heldout_rate, 0)
    return BaseExamples(texts, SpanIndex(texts), SETTINGS)


def rows_of(parts: list[Chunk]) -> dict[int, list[int]]:
    """The real word pieces of each row by its number."""
    return {
        int(number): chunk.id_nT[n][chunk.real_nT[n]].tolist()
        for chunk in parts
        for n, number in enumerate(chunk.row_n)
    }


def same(a: Batch, b: Batch) -> bool:
    pairs = zip([*a.masked, *a.queries, *a.passages], [*b.masked, *b.queries, *b.passages], strict=True)
    return all(
        torch.equal(getattr(x, field.name), getattr(y, field.name))
        for x, y in pairs
        for field in dataclasses.fields(Chunk)
    )


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 120))
def test_every_row_is_in_one_chunk_and_no_chunk_is_too_large(lengths: list[int], most: int) -> None:
    rows = [Row(np.arange(length) + 10 * n, length // 2) for n, length in enumerate(lengths)]
    found = chunks(rows, 0, most)
    assert rows_of(found) == {n: row.ids.tolist() for n, row in enumerate(rows)}
    for chunk in found:
        assert len(chunk.row_n) == 1 or chunk.id_nT.numel() <= most
        for n, number in enumerate(chunk.row_n.tolist()):
            assert int((chunk.segment_nT[n] == 0).logical_and(chunk.real_nT[n]).sum()) == rows[number].second


def test_masks_are_found_in_the_padded_rows(examples: BaseExamples) -> None:
    rows = [examples.example(n) for n in range(20)]
    found = masked_chunks(rows, 0, 300)
    gold: dict[int, list[int]] = {}
    for chunk in found:
        assert (chunk.id_nT.flatten()[chunk.place_M] == examples.specials.mask).all()
        width = chunk.id_nT.shape[1]
        for place, token in zip(chunk.place_M.tolist(), chunk.gold_M.tolist(), strict=True):
            gold.setdefault(int(chunk.row_n[place // width]), []).append(token)
    assert gold == {n: row.gold.tolist() for n, row in enumerate(rows)}


def test_three_ranks_share_out_what_one_reads(examples: BaseExamples) -> None:
    batches = Batches(examples)
    whole = batches.batch(7)
    parts = [batches.batch(7, rank, 3) for rank in range(3)]
    for kind in ("masked", "queries", "passages"):
        rows = [rows_of(getattr(part, kind)) for part in parts]
        together = {3 * number + rank: row for rank, part in enumerate(rows) for number, row in part.items()}
        assert together == rows_of(getattr(whole, kind)), kind
    assert sum(part.num_tokens for part in parts) == whole.num_tokens
    assert {part.num_pairs for part in parts} == {whole.num_pairs}


def test_sentences_look_for_their_own_passages(examples: BaseExamples) -> None:
    batch = Batches(examples).batch(5)
    queries, passages = rows_of(batch.queries), rows_of(batch.passages)
    assert set(queries) == set(passages) == set(range(SETTINGS.ict_batch))
    layouts = [examples.texts.body[i].tolist() for i in range(len(examples.texts))]
    for number, query in queries.items():
        inner = query[1:-1]
        kept = passages[number][passages[number].index(examples.specials.sep) + 1 : -1]
        sources = [body for body in layouts if any(body[i : i + len(inner)] == inner for i in range(len(body)))]
        assert any(body == kept or len(body) == len(kept) + len(inner) for body in sources)
    assert batch.num_tokens == sum(int(c.real_nT.sum()) for c in [*batch.masked, *batch.queries, *batch.passages])


def test_held_out_sentences_are_not_among_those_trained_on(toy_corpus: Corpus) -> None:
    texts = Texts([toy_corpus], SETTINGS.heldout_rate, 0)
    batches = Batches(BaseExamples(texts, SpanIndex(texts), SETTINGS))
    held = {tuple(row) for row in rows_of(batches.heldout_cloze(10)[0]).values()}
    trained = {tuple(row) for step in range(60) for row in rows_of(batches.batch(step).queries).values()}
    assert len(held) > 3
    assert len(trained) > 50
    assert not held & trained


def test_another_process_prepares_the_same_batches(examples: BaseExamples) -> None:
    """As `BaseEncoding.batches` does next to a CUDA device."""
    batches = Batches(examples)
    stream = DataLoader(
        range(10),  # type: ignore[arg-type]
        batch_size=None,
        collate_fn=batches.batch,
        sampler=itertools.count(3),
        num_workers=1,
        multiprocessing_context="fork",
    )
    for step, batch in zip((3, 4, 5), stream, strict=False):
        assert same(batch, batches.batch(step))
