"""Distillation of the similarities of short texts according to a sentence encoder, the teacher.

A few million words are not enough to learn paraphrases ("the currency", "how do people pay"); an encoder trained on
many pairs of texts knows them. Its vectors are computed once, before training. Only similarities are distilled, so
that the dimension of its vectors does not matter (Gou et al. 2021, "Knowledge distillation: a survey", Sec. 2.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from openrealm import files
from openrealm.base.texts import Ints, Rows, Texts, token_type
from openrealm.engine import Engine
from openrealm.errors import DamagedArtefact
from openrealm.model.encoder import Encoder, in_order, load_backbone, wide
from openrealm.model.retriever import mean_pooled
from openrealm.text.pack import Row, Specials, pack_query
from openrealm.text.tokenizer import Tokenizer
from openrealm.train.examples import Order
from openrealm.train.ranks import ALONE, Ranks

_VECTORS, _TEXTS = "vectors.safetensors", "texts.json"
_SHORTEST, _LONGEST = 4, 24  # word pieces of a sentence
_MAX_TOKENS = 128  # of a text, for teacher and student
_ROWS_AT_ONCE = 64
_TEXTS_AT_ONCE = 4096


def similarity_loss(vector_ND: Tensor, taught_NE: Tensor, temperature: float, ranks: Ranks = ALONE) -> Tensor:
    """KL divergence in nats between the softmax over the other texts of teacher and student, mean over texts.

    vector_ND    the student's unit vectors
    taught_NE    the teacher's unit vectors
    temperature  divisor of the inner products before the softmax
    ranks        the processes that share the batch; these are the texts of one of them. The mean of what is returned
                 over the processes is the loss of the whole batch
    """
    whole_BD, whole_BE = ranks.gather(vector_ND), ranks.gather(taught_NE)
    own_NB = torch.eye(len(whole_BD), dtype=torch.bool, device=vector_ND.device)[ranks.rank :: ranks.num_ranks]
    logp_NB, taught_NB = (
        (wide(rows @ whole.T) / temperature).masked_fill(own_NB, -1e4).log_softmax(dim=1)
        for rows, whole in ((vector_ND, whole_BD), (taught_NE, whole_BE))
    )
    divergence = nn.functional.kl_div(logp_NB, taught_NB, reduction="sum", log_target=True)
    return divergence * ranks.num_ranks / len(whole_BD)


def drawn_texts(texts: Texts, num_sentences: int, num_passages: int, seed: int) -> list[str]:
    """Short sentences and passages with their titles, at most one of each per passage, without held-out articles."""
    order = np.random.default_rng([seed, 27]).permutation(np.flatnonzero(~texts.is_heldout_N)).tolist()
    passages = [texts.text(i, 0, len(texts.body[i]), with_title=True) for i in order[:num_passages]]
    found: list[str] = []
    for i in order:
        if len(found) == num_sentences:
            break
        short = [(s, e) for s, e in texts.sentences[i].tolist() if _SHORTEST <= e - s <= _LONGEST]
        if short:
            found.append(texts.text(i, *short[i % len(short)]))
    return [*found, *passages]


def write_teacher_vectors(
    folder: Path,
    texts: Sequence[str],
    teacher: str,
    tokenizer: Tokenizer,
    engine: Engine,
    source: dict[str, Any],
    advance: Callable[[int], None],
) -> None:
    """Publish `texts` and their vectors by the teacher, the means of its last hidden states scaled to unit length.

    source   entry of the manifest
    advance  called with the number of texts just embedded
    """
    encoder = Encoder(load_backbone(teacher, dropout=0.0), tokenizer.pad_id).eval().to(engine.device)
    rows = _rows(tokenizer, texts)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    parts = []
    for start in range(0, len(order), _TEXTS_AT_ONCE):
        chosen = order[start : start + _TEXTS_AT_ONCE]
        parts.append(_means(encoder, [rows[i] for i in chosen], engine))
        advance(len(chosen))
    with files.new_folder(folder, {"kind": "teacher", "source": source}) as out:
        files.write_safetensors(out / _VECTORS, {"vectors": in_order(parts, order).half()})
        files.write_json(out / _TEXTS, list(texts))


@torch.no_grad()
def _means(encoder: Encoder, rows: Sequence[Row], engine: Engine) -> Tensor:
    parts, order = [], []
    with engine.autocast():
        for indices, hidden_nTH, real_nT in encoder.chunks(rows, _ROWS_AT_ONCE):
            parts.append(mean_pooled(wide(hidden_nTH), real_nT))
            order += indices
    return nn.functional.normalize(in_order(parts, order), dim=1).cpu()


def _rows(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Row]:
    specials = Specials.of(tokenizer)
    return [pack_query(ids, specials, _MAX_TOKENS) for ids, _ in tokenizer.encode_batch(texts)]


class TeacherVectors:
    """The output of `write_teacher_vectors`, in batches that are a function of seed and number."""

    def __init__(self, folder: Path, tokenizer: Tokenizer, seed: int) -> None:
        self.digest: str = files.read_manifest(folder, needs=(_VECTORS, _TEXTS))["manifest_sha256"]
        texts, tensors = files.read_json(folder / _TEXTS, list[str]), files.read_safetensors(folder / _VECTORS)
        self._vector_LE = tensors.get("vectors", torch.empty(0))
        if self._vector_LE.ndim != 2 or len(self._vector_LE) != len(texts):
            raise DamagedArtefact(f"{folder / _VECTORS} has no vector for each text in {_TEXTS}; remove {folder}.")
        rows = _rows(tokenizer, texts)
        self._ids = Rows([row.ids for row in rows], token_type(tokenizer))
        self._order = Order(range(len(rows)), seed)

    def __len__(self) -> int:
        return len(self._vector_LE)

    def batch(self, number: int, size: int) -> tuple[list[Row], Tensor]:
        """`size` texts as rows, and their vectors by the teacher in float32."""
        chosen = self._order.take(number * size, size)
        ids: list[Ints] = [self._ids[i] for i in chosen]
        return [Row(row, len(row)) for row in ids], self._vector_LE[chosen].float()
