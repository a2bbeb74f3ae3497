"""Reading the passages retrieved for questions: the same code serves fine-tuning, evaluation and `ask`.

Axes: B questions, K passages read, P body tokens, W span widths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from openrealm.config import FinetuneConfig
from openrealm.engine import Engine
from openrealm.index.bm25 import Bm25
from openrealm.index.exact import search
from openrealm.model.realm import Realm
from openrealm.train.layout import Layout
from openrealm.types import Question


class DenseSource:
    """Candidates by the query tower and a fixed index; scores are live."""

    def __init__(self, model: Realm, vector_ND: Tensor, layout: Layout, max_query_tokens: int) -> None:
        self._model, self._layout, self._max_query_tokens = model, layout, max_query_tokens
        self.vector_ND = vector_ND

    def retrieve(
        self, questions: Sequence[npt.NDArray[np.int64]], texts: Sequence[str], num_results: int
    ) -> tuple[Tensor, Tensor]:
        """Live scores and passage numbers, both B x min(num_results, N). `texts` is not looked at."""
        query_BD = self._model.retriever.encode_query(
            [self._layout.query(q, self._max_query_tokens) for q in questions]
        )
        _, id_BK = search(self.vector_ND, query_BD.detach().float().cpu(), num_results)
        found_BKD = self.vector_ND[id_BK].to(query_BD.device)
        return (query_BD[:, None, :] * found_BKD).sum(dim=2), id_BK


class Bm25Source(torch.nn.Module):
    """Candidates by BM25; its score enters the span's logit with a weight that is learned."""

    def __init__(self, bm25: Bm25) -> None:
        super().__init__()
        self._bm25 = bm25
        self.weight = torch.nn.Parameter(torch.tensor(0.1))

    def retrieve(
        self, questions: Sequence[npt.NDArray[np.int64]], texts: Sequence[str], num_results: int
    ) -> tuple[Tensor, Tensor]:
        """Weighted scores and passage numbers, both B x min(num_results, N). `questions` is not looked at."""
        scores, numbers = self._bm25.search(texts, num_results)
        return self.weight * torch.from_numpy(scores).to(self.weight.device), torch.from_numpy(numbers)


Source = DenseSource | Bm25Source


@dataclass(frozen=True, slots=True)
class SpanScores:
    """g(s) of every span of the passages read, its validity, f(x,z), and which passages they are."""

    span_BKPW: Tensor
    valid_BKPW: Tensor
    score_BK: Tensor
    id_BK: Tensor


def read_spans(
    model: Realm,
    layout: Layout,
    questions: Sequence[npt.NDArray[np.int64]],
    score_BK: Tensor,
    id_BK: Tensor,
    settings: FinetuneConfig,
) -> SpanScores:
    """Score all spans of the given passages."""
    assert model.span_reader is not None, "fine-tuning attaches the span reader"
    rows, starts = [], []
    for question, passages in zip(questions, id_BK.tolist(), strict=True):
        cut = question[: settings.max_query_tokens - 2]
        for passage in passages:
            row, start = layout.joint(cut, passage, settings.max_reader_tokens)
            rows.append(row)
            starts.append(start)
    span_nPW, valid_nPW = model.span_reader(rows, starts)
    shape = (*id_BK.shape, *span_nPW.shape[1:])
    return SpanScores(span_nPW.view(shape), valid_nPW.view(shape), score_BK, id_BK)


@dataclass(frozen=True, slots=True)
class Found:
    """The best span of one passage for one question."""

    passage: int
    text: str
    start: int
    end: int
    logit: float
    retrieval_score: float


def best_spans(layout: Layout, scores: SpanScores) -> list[list[Found]]:
    """For each question the best span of every passage read, in characters of its text, best g(s) + f(x,z) first."""
    num_questions, num_passages, _, num_widths = scores.span_BKPW.shape
    logit_BKs = (
        (scores.span_BKPW + scores.score_BK[:, :, None, None]).masked_fill(~scores.valid_BKPW, -torch.inf).flatten(2)
    )
    best_BK, where_BK = (part.cpu() for part in logit_BKs.max(dim=2))
    out = []
    for b in range(num_questions):
        found = []
        for k in range(num_passages):
            number = int(scores.id_BK[b, k])
            first, width = divmod(int(where_BK[b, k]), num_widths)
            offsets = layout.corpus.token_offsets(number)
            if not math.isfinite(best_BK[b, k]):
                continue
            start, end = int(offsets[first][0]), int(offsets[first + width][1])
            text = layout.corpus.passage(number).text[start:end]
            found.append(Found(number, text, start, end, float(best_BK[b, k]), float(scores.score_BK[b, k])))
        out.append(sorted(found, key=lambda f: -f.logit))
    return out


@torch.inference_mode()
def answer_all(
    model: Realm,
    layout: Layout,
    source: Source,
    questions: Sequence[Question],
    settings: FinetuneConfig,
    engine: Engine,
    *,
    num_retrieved: int = 20,
    batch: int = 16,
) -> tuple[list[list[Found]], list[list[int]]]:
    """Answers (best first) and the `num_retrieved` passages found for each question."""
    model.eval()
    answers: list[list[Found]] = []
    retrieved: list[list[int]] = []
    tokenizer = layout.corpus.tokenizer()
    for start in range(0, len(questions), batch):
        texts = [question.text for question in questions[start : start + batch]]
        tokens = [np.asarray(ids, dtype=np.int64) for ids, _ in tokenizer.encode_batch(texts)]
        with engine.autocast():
            score_BK, id_BK = source.retrieve(tokens, texts, num_retrieved)
            num_read = min(settings.num_candidates, id_BK.shape[1])
            scores = read_spans(model, layout, tokens, score_BK[:, :num_read], id_BK[:, :num_read], settings)
        answers += best_spans(layout, scores)
        retrieved += id_BK.tolist()
    return answers, retrieved
