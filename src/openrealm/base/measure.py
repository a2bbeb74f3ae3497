"""Evaluation of a base encoder on held-out text: masked names with and without a passage, and retrieval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from openrealm.base.batches import Batches, masked_chunks
from openrealm.base.examples import CONTEXTS, BaseExamples, MaskedRow
from openrealm.base.model import Base, Chunk
from openrealm.engine import Engine
from openrealm.train.task import Number

_ROWS_AT_ONCE = 256
_CHUNK_TOKENS = 8192


class Heldout:
    """Held-out queries, each read alone, with its own passage, with another that contains the span, and with any."""

    def __init__(self, examples: BaseExamples, batches: Batches, num_queries: int) -> None:
        self._rows = examples.heldout_rows(num_queries)
        self._pad_id = examples.specials.pad
        self._cloze = batches.heldout_cloze(num_queries)

    @torch.inference_mode()
    def measure(self, model: Base, engine: Engine) -> dict[str, Number]:
        """Metrics of `model`: accuracy and loss (nats per token) of masked tokens in each context, and more.

        copying       accuracy with another passage that contains the span, minus accuracy without a passage
        ict_accuracy  share of held-out sentences that retrieve their own passage from those of all of them
        """
        model.eval()
        found: dict[str, Number] = {"num_queries": len(self._rows)}
        for context in CONTEXTS if self._rows else ():
            accuracy, loss = self._fill(model, engine, [rows[context] for rows in self._rows])
            found |= {f"accuracy_{context}": accuracy, f"loss_{context}": loss}
        if self._rows:
            found["copying"] = float(found["accuracy_related"]) - float(found["accuracy_alone"])
        queries, passages = self._cloze
        if queries:
            with engine.autocast():
                query_BD, passage_BD = (model.embed(_moved(part, engine)) for part in (queries, passages))
            best_B = (query_BD @ passage_BD.T).argmax(dim=1)
            found["ict_accuracy"] = float((best_B == torch.arange(len(best_B), device=best_B.device)).float().mean())
        model.train()
        return found

    def _fill(self, model: Base, engine: Engine, rows: Sequence[MaskedRow]) -> tuple[float, float]:
        """Mean accuracy and mean loss over all masked word pieces."""
        correct, losses = [], []
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = _moved(masked_chunks(rows[start : start + _ROWS_AT_ONCE], self._pad_id, _CHUNK_TOKENS), engine)
            with engine.autocast():
                logit_MV = model.fill(part)
            gold_M = torch.cat([chunk.gold_M for chunk in part])
            correct.append((logit_MV.argmax(dim=1) == gold_M).cpu().numpy())
            losses.append(torch.nn.functional.cross_entropy(logit_MV, gold_M, reduction="none").cpu().numpy())
        return float(np.concatenate(correct).mean()), float(np.concatenate(losses).mean())


def _moved(chunks: Sequence[Chunk], engine: Engine) -> list[Chunk]:
    return [chunk.to(torch.device(engine.device)) for chunk in chunks]
