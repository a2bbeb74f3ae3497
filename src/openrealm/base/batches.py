"""Batches of all objectives of a base encoder as padded tensors, a pure function of seed, step and rank."""

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
from openrealm.train.ict import inverse_cloze
from openrealm.train.pairs import Pairs

_SMALL_CHUNK_TOKENS, _LARGE_CHUNK_TOKENS = 4096, 65_536


@dataclass(frozen=True, slots=True)
class Batch:
    """The part of a step's batch for one process.

    masked             masked examples
    queries, passages  pairs of the Inverse Cloze Task
    taught             texts for distillation, and `teacher_BE` the teacher's vectors of them
    num_pairs          pairs of all processes
    num_tokens         word pieces in `masked`, `queries`, `passages` and `taught`
    """

    masked: list[Chunk]
    queries: list[Chunk]
    passages: list[Chunk]
    taught: list[Chunk]
    teacher_BE: torch.Tensor
    num_pairs: int
    num_tokens: int


class Batches:
    """Batches for training with random access to any step, divided among processes."""

    def __init__(self, examples: BaseExamples, *, teacher: TeacherVectors | None = None, on_cpu: bool = True) -> None:
        self._examples, self._teacher = examples, teacher
        self._chunk_tokens = _SMALL_CHUNK_TOKENS if on_cpu else _LARGE_CHUNK_TOKENS
        self._corpora = examples.texts.corpora
        usable = [self._multi_sentence(number, heldout=False) for number in range(len(self._corpora))]
        self._orders = [Order(passages, examples.settings.seed) if passages else None for passages in usable]

    def batch(self, step: int, rank: int = 0, num_ranks: int = 1) -> Batch:
        """The part of a step's batch for process `rank`, a function of seed and arguments."""
        settings, mine = self._examples.settings, slice(rank, None, num_ranks)
        first = step * settings.mlm_batch
        rows = [self._examples.example(first + n) for n in range(settings.mlm_batch)[mine]]
        all_pairs = self._inverse_cloze(step) if settings.ict_batch else Pairs([], [])
        pairs = all_pairs.part(rank, num_ranks)
        taught: list[Row] = []
        teacher_BE = torch.zeros(0, 0)
        if self._teacher is not None:
            taught, teacher_BE = self._teacher.batch(step, settings.teacher_batch)
            taught, teacher_BE = taught[mine], teacher_BE[mine]
        return Batch(
            masked_chunks(rows, self._pad_id, self._chunk_tokens),
            self._plain(pairs.queries),
            self._plain(pairs.passages),
            self._plain(taught),
            teacher_BE,
            len(all_pairs),
            sum(len(row) for row in [*(r.row for r in rows), *pairs.queries, *pairs.passages, *taught]),
        )

    def heldout_cloze(self, num_pairs: int) -> tuple[list[Chunk], list[Chunk]]:
        """Held-out sentences and their passages, from the corpus with the most held-out passages."""
        usable = [self._multi_sentence(number, heldout=True) for number in range(len(self._corpora))]
        number = int(np.argmax([len(passages) for passages in usable]))
        rng = np.random.default_rng([self._examples.settings.seed, 26])
        drawn = rng.permutation(usable[number])[:num_pairs].tolist()
        pairs = self._pairs(number, drawn, rng) if drawn else Pairs([], [])
        return self._plain(pairs.queries), self._plain(pairs.passages)

    @property
    def _pad_id(self) -> int:
        return self._examples.specials.pad

    def _plain(self, rows: Sequence[Row]) -> list[Chunk]:
        return chunks(rows, self._pad_id, self._chunk_tokens)

    def _multi_sentence(self, corpus: int, *, heldout: bool) -> list[int]:
        """The passages of corpus number `corpus` that have several sentences, by their numbers in it."""
        texts = self._examples.texts
        here = slice(texts.first_passage[corpus], texts.first_passage[corpus + 1])
        has_several = np.diff(texts.sentences.starts)[here] > 1
        found: list[int] = np.flatnonzero(has_several & (texts.is_heldout_N[here] == heldout)).tolist()
        return found

    def _inverse_cloze(self, batch_number: int) -> Pairs:
        """Sentences and their passages from one corpus, which is drawn in proportion to its size."""
        settings = self._examples.settings
        rng = np.random.default_rng([settings.seed, 25, batch_number])
        sizes = np.array([0 if order is None else len(order) for order in self._orders])
        if not sizes.sum():
            return Pairs([], [])
        number = int(rng.choice(len(sizes), p=sizes / sizes.sum()))
        order = self._orders[number]
        assert order is not None, "a corpus without usable passages has size 0"
        size, run = settings.ict_batch, settings.ict_neighbours
        return self._pairs(number, order.take_with_neighbours(batch_number * size, size, run), rng)

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
    """Padded chunks of `rows`, sorted by length, of at most `num_tokens` including padding, or of one row.

    masked  the same rows with their masks, if they have any
    """
    found: list[Chunk] = []
    held: list[int] = []
    for number in [*sorted(range(len(rows)), key=lambda i: len(rows[i])), -1]:
        if held and (number < 0 or (len(held) + 1) * len(rows[number]) > num_tokens):
            found.append(_chunk(rows, held, pad_id, masked))
            held = []
        held.append(number)
    return found


def masked_chunks(rows: Sequence[MaskedRow], pad_id: int, num_tokens: int) -> list[Chunk]:
    """`chunks` of masked rows, with the positions of the masks and the correct word pieces."""
    return chunks([row.row for row in rows], pad_id, num_tokens, rows)


def _chunk(rows: Sequence[Row], held: Sequence[int], pad_id: int, masked: Sequence[MaskedRow]) -> Chunk:
    arrays: list[Any] = list(pad([rows[i] for i in held], pad_id))
    num_columns = arrays[0].shape[1]
    none = [np.zeros(0, dtype=np.int64)]
    places = [n * num_columns + masked[i].positions for n, i in enumerate(held) if masked]
    arrays += [np.concatenate(none + places), np.concatenate(none + [masked[i].gold for i in held if masked])]
    arrays.append(np.asarray(held))
    return Chunk(*(torch.from_numpy(array) for array in arrays))
