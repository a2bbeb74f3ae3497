"""Packs word pieces for an encoder: `[CLS] x [SEP]`, `[CLS] title [SEP] body [SEP]`, `[CLS] x [SEP] body [SEP]`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Tokens = Sequence[int] | npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Row:
    """One encoder input: `ids`, and where segment 1 begins (`len(ids)` if there is only segment 0)."""

    ids: Ids
    second: int

    def __len__(self) -> int:
        return len(self.ids)


class _HasSpecials(Protocol):
    """A tokenizer."""

    cls_id: int
    sep_id: int
    mask_id: int
    pad_id: int


@dataclass(frozen=True, slots=True)
class Specials:
    """Ids of the special tokens, which only packing may insert."""

    cls: int
    sep: int
    mask: int
    pad: int

    @classmethod
    def of(cls, tokenizer: _HasSpecials) -> Specials:
        """The special tokens of a tokenizer."""
        return cls(tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id, tokenizer.pad_id)


def _join(*parts: Tokens) -> Ids:
    return np.concatenate([np.asarray(part, dtype=np.int64) for part in parts])


def pack_query(query: Tokens, specials: Specials, max_tokens: int) -> Row:
    """`[CLS] x [SEP]`, with x cut so that the row has at most `max_tokens`."""
    ids = _join([specials.cls], query[: max(0, max_tokens - 2)], [specials.sep])
    return Row(ids, len(ids))


def passage_title_room(max_tokens: int) -> int:
    """The most tokens of a title that a row of at most `max_tokens` for the passage tower has room for."""
    return max(0, min(max_tokens // 2, max_tokens - 3))


def pack_passage(title: Tokens, body: Tokens, specials: Specials, max_tokens: int) -> Row:
    """`[CLS] title [SEP] body [SEP]`, with the body cut to fit; the null passage has no title and no body."""
    head = _join([specials.cls], title[: passage_title_room(max_tokens)], [specials.sep])
    return Row(_join(head, body[: max_tokens - len(head) - 1], [specials.sep]), len(head))


def pack_joint(
    query: Tokens,
    body: Tokens,
    specials: Specials,
    max_tokens: int,
    title: Tokens = (),
) -> tuple[Row, int]:
    """`[CLS] x [SEP] body [SEP]`, and the position of the body's first token.

    With a `title` (an option, not in the paper), segment 1 is `title [SEP] body [SEP]`. The null passage has no body.
    The body, then the title are cut to fit `max_tokens`; the query is not, because its masks must stay.
    """
    first = _join([specials.cls], query, [specials.sep])
    title = title[: max(0, max_tokens - len(first) - 2)]
    lead = _join(title, [specials.sep]) if len(title) else _join([])
    room = max(0, max_tokens - len(first) - len(lead) - 1)
    return Row(_join(first, lead, body[:room], [specials.sep]), len(first)), len(first) + len(lead)


def chunks_by_length(lengths: Sequence[int], max_rows: int) -> Iterator[list[int]]:
    """Indices sorted by length, in chunks of at most `max_rows`, to minimise padding."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for start in range(0, len(order), max_rows):
        yield order[start : start + max_rows]


def pad(
    rows: Sequence[Row], pad_id: int, num_rows: int | None = None, num_tokens: int | None = None
) -> tuple[Ids, npt.NDArray[np.bool_], Ids]:
    """Token ids, mask (True for real tokens) and segment ids, each n x T, of rows of different lengths.

    n and T are the number and the length of the rows, or more: `num_rows` and `num_tokens`.
    """
    shape = (num_rows or len(rows), num_tokens or max(len(row) for row in rows))
    ids = np.full(shape, pad_id, dtype=np.int64)
    real = np.zeros(shape, dtype=np.bool_)
    segments = np.zeros(shape, dtype=np.int64)
    for position, row in enumerate(rows):
        ids[position, : len(row)] = row.ids
        real[position, : len(row)] = True
        segments[position, row.second : len(row)] = 1
    return ids, real, segments
