"""Batches of all tasks of a base encoder as padded tensors: a pure function of step and rank.

A `Dataset` over steps, so that other processes can prepare them while a device computes: the same batches whatever
their number, and a resume begins at any step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from openrealm.base.examples import BaseExamples, MaskedRow
from openrealm.base.model import Chunk
from openrealm.base.teacher import Lessons
from openrealm.text.pack import Row, pad
from openrealm.train.examples import Order
from openrealm.train.ict import inverse_cloze
from openrealm.train.layout import Layout

_SMALL_CHUNK_TOKENS, _LARGE_CHUNK_TOKENS = 4096, 65_536


@dataclass(frozen=True, slots=True)
class Batch:
    """What a rank learns from in one step."""

    masked: list[Chunk]
    queries: list[Chunk]
    passages: list[Chunk]
    lessons: list[Chunk]
    taught_BE: torch.Tensor
    num_tokens: int


class Batches(Dataset[Batch]):
    """Batch number s for any step s, as rank `rank` of `num_ranks` reads them."""

    def __init__(
        self,
        examples: BaseExamples,
        rank: int = 0,
        num_ranks: int = 1,
        *,
        lessons: Lessons | None = None,
        on_cpu: bool = True,
    ) -> None:
        self._examples, self._rank, self._num_ranks, self._lessons = examples, rank, num_ranks, lessons
        self._chunk_tokens = _SMALL_CHUNK_TOKENS if on_cpu else _LARGE_CHUNK_TOKENS
        self._layouts = [Layout(corpus, title_in_joint=True) for corpus in examples.texts.corpora]
        walks = [self._several(number, heldout=False) for number in range(len(self._layouts))]
        self._orders = [Order(walk, examples.settings.seed) if walk else None for walk in walks]

    def __getitem__(self, step: int) -> Batch:
        settings, turn = self._examples.settings, step * self._num_ranks + self._rank
        first = turn * settings.mlm_batch
        rows = [self._examples.example(first + n) for n in range(settings.mlm_batch)]
        queries, passages = self._inverse_cloze(turn) if settings.ict_batch else ([], [])
        taught: list[Row] = []
        taught_BE = torch.zeros(0, 0)
        if self._lessons is not None:
            taught, taught_BE = self._lessons.batch(turn, settings.teacher_batch)
        return Batch(
            masked_chunks(rows, self._pad_id, self._chunk_tokens),
            self._plain(queries),
            self._plain(passages),
            self._plain(taught),
            taught_BE,
            sum(len(row) for row in [*(r.row for r in rows), *queries, *passages, *taught]),
        )

    def heldout_cloze(self, num_pairs: int) -> tuple[list[Chunk], list[Chunk]]:
        """Held-out sentences and their passages, out of the corpus that has most of them."""
        walks = [self._several(number, heldout=True) for number in range(len(self._layouts))]
        number = int(np.argmax([len(walk) for walk in walks]))
        rng = np.random.default_rng([self._examples.settings.seed, 26])
        drawn = rng.permutation(walks[number])[:num_pairs].tolist()
        queries, passages = self._pairs(number, drawn, rng) if drawn else ([], [])
        return self._plain(queries), self._plain(passages)

    @property
    def _pad_id(self) -> int:
        return self._examples.specials.pad

    def _plain(self, rows: Sequence[Row]) -> list[Chunk]:
        return chunks(rows, self._pad_id, self._chunk_tokens)

    def _several(self, corpus: int, *, heldout: bool) -> list[int]:
        """Passages of a corpus, by its own numbers, that have several sentences."""
        texts = self._examples.texts
        here = slice(texts.first_passage[corpus], texts.first_passage[corpus + 1])
        several = np.diff(texts.sentences.starts)[here] > 1
        found: list[int] = np.flatnonzero(several & (texts.is_heldout_N[here] == heldout)).tolist()
        return found

    def _inverse_cloze(self, turn: int) -> tuple[list[Row], list[Row]]:
        """Sentences and their passages, all of one corpus, which is drawn by its size."""
        settings = self._examples.settings
        rng = np.random.default_rng([settings.seed, 25, turn])
        sizes = np.array([0 if order is None else len(order) for order in self._orders])
        if not sizes.sum():
            return [], []
        number = int(rng.choice(len(sizes), p=sizes / sizes.sum()))
        order = self._orders[number]
        assert order is not None, "a corpus without a walk has size 0"
        size, run = settings.ict_batch, settings.ict_neighbours
        return self._pairs(number, order.take_with_neighbours(turn * size, size, run), rng)

    def _pairs(self, corpus: int, passages: Sequence[int], rng: np.random.Generator) -> tuple[list[Row], list[Row]]:
        layout, settings = self._layouts[corpus], self._examples.settings
        return inverse_cloze(
            layout.corpus,
            layout,
            passages,
            rng,
            max_query_tokens=settings.max_query_tokens,
            remove_rate=settings.remove_sentence_rate,
            with_title=False,
        )


def chunks(rows: Sequence[Row], pad_id: int, num_tokens: int, masked: Sequence[MaskedRow] = ()) -> list[Chunk]:
    """`rows`, sorted by length, in chunks of at most `num_tokens` with padding (or one row)."""
    found: list[Chunk] = []
    held: list[int] = []
    for number in [*sorted(range(len(rows)), key=lambda i: len(rows[i])), -1]:
        if held and (number < 0 or (len(held) + 1) * len(rows[number]) > num_tokens):
            found.append(_chunk(rows, held, pad_id, masked))
            held = []
        held.append(number)
    return found


def masked_chunks(rows: Sequence[MaskedRow], pad_id: int, num_tokens: int) -> list[Chunk]:
    """`chunks` with the places of the masks and what belongs there."""
    return chunks([row.row for row in rows], pad_id, num_tokens, rows)


def _chunk(rows: Sequence[Row], held: Sequence[int], pad_id: int, masked: Sequence[MaskedRow]) -> Chunk:
    arrays: list[Any] = list(pad([rows[i] for i in held], pad_id))
    num_columns = arrays[0].shape[1]
    none = [np.zeros(0, dtype=np.int64)]
    places = [n * num_columns + masked[i].positions for n, i in enumerate(held) if masked]
    arrays += [np.concatenate(none + places), np.concatenate(none + [masked[i].gold for i in held if masked])]
    arrays.append(np.asarray(held))
    return Chunk(*(torch.from_numpy(array) for array in arrays))
