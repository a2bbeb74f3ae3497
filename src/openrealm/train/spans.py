"""Answer spans in retrieved passages, for training, evaluation and `Answerer`.

Axes: B questions, K passages read, P body tokens, W span widths, E passages of the early loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from typing_extensions import TypedDict

from openrealm.config import FinetuneConfig, joint_room
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.index.bm25 import Bm25
from openrealm.index.index import Index
from openrealm.model.realm import Realm
from openrealm.stored import checked
from openrealm.text.tokenizer import Tokenizer
from openrealm.train.bounds import AnswerBounds, admissible_spans
from openrealm.types import Question

_QUESTIONS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class TokenizedQuestion:
    """A question's text and its word pieces, without special tokens."""

    text: str
    tokens: npt.NDArray[np.int64]


def tokenize(questions: Sequence[str], tokenizer: Tokenizer, max_tokens: int | None = None) -> list[TokenizedQuestion]:
    """The word pieces of each question, or the first `max_tokens` of them."""
    rows = tokenizer.encode_batch(list(questions))
    return [
        TokenizedQuestion(text, np.asarray(ids[:max_tokens], dtype=np.int64))
        for text, (ids, _) in zip(questions, rows, strict=True)
    ]


def longest_question(model: Realm, corpus: Corpus) -> int:
    """The most word pieces of a question that the encoder reads together with any passage of the corpus.

    At least half of the encoder's positions; if passages are that long too, their ends are not read.
    """
    return max(model.max_tokens - joint_room(2, corpus.max_passage_tokens), model.max_tokens // 2)


def joint_tokens(
    model: Realm, corpus: Corpus, num_query_tokens: int, max_query_tokens: int, max_joint_tokens: int | None
) -> int:
    """Word pieces to read a query and a passage together: those of training, and more if the query is longer."""
    num_more = max(0, num_query_tokens + 2 - max_query_tokens)
    return min(model.max_tokens, corpus.joint_tokens(max_query_tokens, max_joint_tokens) + num_more)


class PassageFinder(Protocol):
    """Finds the passages to read for questions, possibly with trainable parameters.

    trains_retriever  whether the query tower is trained, with the early loss (Lee et al. 2019, Sec. 6)
    version           name of the index, quoted in answers
    """

    trains_retriever: bool
    version: str

    def find(
        self, model: Realm, corpus: Corpus, questions: Sequence[TokenizedQuestion], k: int
    ) -> tuple[Tensor, Tensor]:
        """Scores (with gradient) and passage numbers, both B x min(k, N), best first."""
        ...

    def parameters(self) -> Iterable[nn.Parameter]:
        """The finder's parameters, trained with the learning rate of the head."""
        ...

    def state(self) -> dict[str, Any]:
        """The finder's parameters as JSON values."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        ...


def question_vectors(model: Realm, corpus: Corpus, questions: Sequence[TokenizedQuestion]) -> Tensor:
    """Vectors of questions by the query tower, B x D."""
    rows = [corpus.query_row(question.tokens, len(question.tokens) + 2) for question in questions]
    return model.retriever.encode_query(rows)


class DenseFinder:
    """Finds passages with the query tower and a fixed index."""

    trains_retriever = True

    def __init__(self, index: Index) -> None:
        self.index = index
        self.version = index.name

    def find(
        self, model: Realm, corpus: Corpus, questions: Sequence[TokenizedQuestion], k: int
    ) -> tuple[Tensor, Tensor]:
        """Inner products with the vectors of the index, with gradient, and passage numbers; both B x min(k, N)."""
        query_BD = question_vectors(model, corpus, questions)
        id_BK = self.index.search(query_BD, k).id_BK
        return self.scores(query_BD, id_BK), id_BK

    def restricted(self, is_allowed_N: npt.NDArray[np.bool_]) -> DenseFinder:
        """The same finder, which finds only the passages that are allowed."""
        return DenseFinder(self.index.restricted(is_allowed_N))

    def scores(self, query_BD: Tensor, id_BK: Tensor) -> Tensor:
        """f(x,z) of the passages `id_BK`, B x K, with gradient."""
        found_BKD = self.index.vectors(id_BK).to(query_BD.device)
        return (query_BD[:, None, :] * found_BKD).sum(dim=2)

    def parameters(self) -> Iterable[nn.Parameter]:
        """None: the query tower belongs to the model."""
        return ()

    def state(self) -> dict[str, Any]:
        """Nothing: the query tower belongs to the model."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore nothing."""


class Bm25State(TypedDict):
    """What fine-tuning learns of BM25: the weight of its score."""

    weight: float


class Bm25Finder:
    """Finds passages with BM25, whose scores are added to span logits with a learned weight."""

    trains_retriever = False
    version = "bm25"

    def __init__(self, bm25: Bm25, weight: float = 0.1) -> None:
        self.bm25 = bm25
        self.weight = nn.Parameter(torch.tensor(weight))

    def restricted(self, is_allowed_N: npt.NDArray[np.bool_]) -> Bm25Finder:
        """The same finder, which finds only the passages that are allowed."""
        return Bm25Finder(self.bm25.restricted(is_allowed_N), float(self.weight.detach()))

    def find(
        self, model: Realm, corpus: Corpus, questions: Sequence[TokenizedQuestion], k: int
    ) -> tuple[Tensor, Tensor]:
        """Weighted BM25 scores and passage numbers, both B x min(k, N)."""
        scores, numbers = self.bm25.search([question.text for question in questions], k)
        return self.weight * torch.from_numpy(scores).to(self.weight.device), torch.from_numpy(numbers)

    def parameters(self) -> Iterable[nn.Parameter]:
        """The weight."""
        return [self.weight]

    def state(self) -> dict[str, Any]:
        """The weight."""
        return {"weight": float(self.weight.detach())}

    def load_state(self, state: dict[str, Any]) -> None:
        """Set the weight."""
        self.weight.data.fill_(checked(Bm25State, state, "The state of BM25")["weight"])


@dataclass(frozen=True, slots=True)
class SpanScores:
    """Scores of all spans of the passages read for B questions.

    span_BKPW   g(s); at [b, k, p, w] that of the span of w + 1 tokens starting at token p of the body
    valid_BKPW  False where there is no such span
    score_BK    f(x, z) of the passages
    id_BK       numbers of the passages
    """

    span_BKPW: Tensor
    valid_BKPW: Tensor
    score_BK: Tensor
    id_BK: Tensor


def read_spans(
    model: Realm,
    corpus: Corpus,
    questions: Sequence[TokenizedQuestion],
    score_BK: Tensor,
    id_BK: Tensor,
    settings: FinetuneConfig,
) -> SpanScores:
    """Score all spans of the passages `id_BK`, whose retrieval scores are `score_BK`."""
    assert model.span_reader is not None, "fine-tuning adds the span reader"
    rows, starts = [], []
    for question, passages in zip(questions, id_BK.tolist(), strict=True):
        longest = joint_tokens(
            model, corpus, len(question.tokens), settings.max_query_tokens, settings.max_reader_tokens
        )
        for passage in passages:
            row, start = corpus.joint_row(question.tokens, passage, longest, with_title=model.config.title_in_joint)
            rows.append(row)
            starts.append(start)
    span_nPW, valid_nPW = model.span_reader(rows, starts)
    shape = (*id_BK.shape, *span_nPW.shape[1:])
    return SpanScores(span_nPW.view(shape), valid_nPW.view(shape), score_BK, id_BK)


@dataclass(frozen=True, slots=True)
class Found:
    """The best span of a passage for a question.

    passage          number of the passage
    start, end       characters of the passage's text; `text` is what they enclose
    logit            g(s) + f(x, z)
    retrieval_score  f(x, z)
    """

    passage: int
    text: str
    start: int
    end: int
    logit: float
    retrieval_score: float

    @property
    def span_score(self) -> float:
        """g(s), without the score of the passage."""
        return self.logit - self.retrieval_score


def confidence_scores(found: Sequence[Found]) -> tuple[float, float]:
    """What confidence in the first span of a question is computed from: its g(s), and the best score of a passage."""
    return found[0].span_score, max(one.retrieval_score for one in found)


def best_spans(corpus: Corpus, scores: SpanScores, bounds: AnswerBounds) -> list[list[Found]]:
    """For each question the best span of each passage read, by descending g(s) + f(x, z).

    bounds  where spans may begin and end (`admissible_spans`)
    Passages without such a span, such as those truncated to nothing, are omitted.
    """
    num_questions, num_passages, longest, num_widths = scores.span_BKPW.shape
    admissible_BKPW = np.zeros(scores.span_BKPW.shape, np.bool_)
    for b, numbers in enumerate(scores.id_BK.tolist()):
        for k, number in enumerate(numbers):
            spans_PW = admissible_spans(corpus, number, num_widths, bounds)[:longest]
            admissible_BKPW[b, k, : len(spans_PW)] = spans_PW
    valid_BKPW = scores.valid_BKPW & torch.from_numpy(admissible_BKPW).to(scores.valid_BKPW.device)
    logit_BKs = (scores.span_BKPW + scores.score_BK[:, :, None, None]).masked_fill(~valid_BKPW, -torch.inf).flatten(2)
    best_BK, where_BK = (part.cpu() for part in logit_BKs.max(dim=2))
    out = []
    for b in range(num_questions):
        found = []
        for k in range(num_passages):
            number = int(scores.id_BK[b, k])
            first, width = divmod(int(where_BK[b, k]), num_widths)
            offsets = corpus.token_offsets(number)
            if not math.isfinite(best_BK[b, k]):
                continue
            start, end = int(offsets[first][0]), int(offsets[first + width][1])
            text = corpus.passage(number).text[start:end]
            found.append(Found(number, text, start, end, float(best_BK[b, k]), float(scores.score_BK[b, k])))
        out.append(sorted(found, key=lambda f: -f.logit))
    return out


@torch.inference_mode()
def answer_all(
    model: Realm,
    corpus: Corpus,
    finder: PassageFinder,
    questions: Sequence[Question],
    settings: FinetuneConfig,
    engine: Engine,
    *,
    num_retrieved: int = 20,
) -> tuple[list[list[Found]], list[list[int]]]:
    """Find passages for questions and read the first `settings.num_candidates` of them.

    Questions longer than `longest_question` are cut. Returns for each question the best spans of the passages read,
    best first, and the numbers of the `num_retrieved` passages found. Puts the model into evaluation mode.
    """
    if model.training:  # setting the mode of every module takes milliseconds
        model.eval()
    longest = longest_question(model, corpus)
    asked = tokenize([q.text for q in questions], corpus.tokenizer(), longest)
    answers: list[list[Found]] = []
    retrieved: list[list[int]] = []
    for start in range(0, len(questions), _QUESTIONS_AT_ONCE):
        part = asked[start : start + _QUESTIONS_AT_ONCE]
        with engine.autocast():
            score_BK, id_BK = finder.find(model, corpus, part, num_retrieved)
            num_read = min(settings.num_candidates, id_BK.shape[1])
            scores = read_spans(model, corpus, part, score_BK[:, :num_read], id_BK[:, :num_read], settings)
        answers += best_spans(corpus, scores, settings.answer_bounds)
        retrieved += id_BK.tolist()
    return answers, retrieved
