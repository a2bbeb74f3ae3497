"""Batches of all objectives of a base encoder as padded tensors: a pure function of step and process number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from openrealm.base.examples import BaseExamples, MaskedRow
from openrealm.base.model import Chunk
from openrealm.base.teacher import TeacherVectors
from openrealm.text.pack import Row, pad
from openrealm.train.examples import Order
from openrealm.train.ict import Pairs, inverse_cloze

_SMALL_CHUNK_TOKENS, _LARGE_CHUNK_TOKENS = 4096, 65_536


@dataclass(frozen=True, slots=True)
class Batch:
    """What one process learns from in one step; `teacher_BE` are the teacher's vectors of the texts in `taught`."""

    masked: list[Chunk]
    queries: list[Chunk]
    passages: list[Chunk]
    taught: list[Chunk]
    teacher_BE: torch.Tensor
    num_tokens: int


class Batches:
    """The batch of any step, as one of several processes reads it."""

    def __init__(self, examples: BaseExamples, *, teacher: TeacherVectors | None = None, on_cpu: bool = True) -> None:
        self._examples, self._teacher = examples, teacher
        self._chunk_tokens = _SMALL_CHUNK_TOKENS if on_cpu else _LARGE_CHUNK_TOKENS
        self._corpora = examples.texts.corpora
        walks = [self._several(number, heldout=False) for number in range(len(self._corpora))]
        self._orders = [Order(walk, examples.settings.seed) if walk else None for walk in walks]

    def batch(self, step: int, rank: int = 0, num_ranks: int = 1) -> Batch:
        """The part of a step's batch that falls to process number `rank`: a function of seed and arguments."""
        settings, turn = self._examples.settings, step * num_ranks + rank
        first = turn * settings.mlm_batch
        rows = [self._examples.example(first + n) for n in range(settings.mlm_batch)]
        pairs = self._inverse_cloze(turn) if settings.ict_batch else Pairs([], [])
        taught: list[Row] = []
        teacher_BE = torch.zeros(0, 0)
        if self._teacher is not None:
            taught, teacher_BE = self._teacher.batch(turn, settings.teacher_batch)
        return Batch(
            masked_chunks(rows, self._pad_id, self._chunk_tokens),
            self._plain(pairs.queries),
            self._plain(pairs.passages),
            self._plain(taught),
            teacher_BE,
            sum(len(row) for row in [*(r.row for r in rows), *pairs.queries, *pairs.passages, *taught]),
        )

    def heldout_cloze(self, num_pairs: int) -> tuple[list[Chunk], list[Chunk]]:
        """Held-out sentences and their passages, out of the corpus that has most of them."""
        walks = [self._several(number, heldout=True) for number in range(len(self._corpora))]
        number = int(np.argmax([len(walk) for walk in walks]))
        rng = np.random.default_rng([self._examples.settings.seed, 26])
        drawn = rng.permutation(walks[number])[:num_pairs].tolist()
        pairs = self._pairs(number, drawn, rng) if drawn else Pairs([], [])
        return self._plain(pairs.queries), self._plain(pairs.passages)

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

    def _inverse_cloze(self, turn: int) -> Pairs:
        """Sentences and their passages, all of one corpus, which is drawn by its size."""
        settings = self._examples.settings
        rng = np.random.default_rng([settings.seed, 25, turn])
        sizes = np.array([0 if order is None else len(order) for order in self._orders])
        if not sizes.sum():
            return Pairs([], [])
        number = int(rng.choice(len(sizes), p=sizes / sizes.sum()))
        order = self._orders[number]
        assert order is not None, "a corpus without a walk has size 0"
        size, run = settings.ict_batch, settings.ict_neighbours
        return self._pairs(number, order.take_with_neighbours(turn * size, size, run), rng)

    def _pairs(self, corpus: int, passages: Sequence[int], rng: np.random.Generator) -> Pairs:
        settings = self._examples.settings
        return inverse_cloze(
            self._corpora[corpus],
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
