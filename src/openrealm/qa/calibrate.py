"""Choosing on held-out questions how passages and spans are weighed, and when a model is sure enough to answer.

Axes: N answers, F scores of each, W = F + 1 weights.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.errors import BadInput
from openrealm.evaluate.answers import exact_match, f1
from openrealm.index.bm25 import Bm25
from openrealm.index.index import Index
from openrealm.model.answering import Answering
from openrealm.model.realm import Realm
from openrealm.progress import track
from openrealm.qa.questions import Asked, paragraphs
from openrealm.qa.settings import QaSettings
from openrealm.recipes.documents import documents
from openrealm.train.fusion import FusedFinder
from openrealm.train.spans import (
    Found,
    TokenizedQuestion,
    best_spans,
    confidence_scores,
    longest_question,
    read_spans,
    tokenize,
)
from openrealm.types import Article

RETRIEVAL_WEIGHTS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0)
BM25_WEIGHTS = (2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
DECLINED = 0.1
"""The share of answerable questions that the threshold declines."""

_FOUND_AT_ONCE, _READ_AT_ONCE = 16, 32
_NUM_RECALLED = 5
_NUM_BINS = 10
_MAX_NEWTON_STEPS = 100

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found and read for some questions: everything that the weights choose from.

    found  by weight of BM25, for each question the passages to read and their scores, best first
    spans  for each question the best span of each of these passages that has one; its logit is g(s)
    """

    found: dict[float, list[list[tuple[int, float]]]]
    spans: list[dict[int, Found]]

    def answers(self, answering: Answering) -> list[list[Found]]:
        """For each question the best spans of the passages read, best first; the first is its answer."""
        weight = answering.retrieval_weight
        out = []
        for passages, spans in zip(self.found[answering.bm25_weight], self.spans, strict=True):
            found = [_retrieved(spans[passage], weight * score) for passage, score in passages if passage in spans]
            out.append(sorted(found, key=lambda one: -one.logit))
        return out


def _retrieved(span: Found, score: float) -> Found:
    """A span whose logit is g(s), with the score of its passage."""
    return dataclasses.replace(span, logit=span.logit + score, retrieval_score=score)


def calibrate(
    model: Realm,
    heldout: Sequence[Asked],
    distractors: Sequence[Article],
    settings: QaSettings,
    engine: Engine,
    folder: Path,
) -> tuple[Answering, dict[str, Any]]:
    """Weights, confidence and threshold for a trained model, and how well it does with them.

    Questions are asked of all of their paragraphs and the distractors, and as unanswerable ones of the distractors
    alone. Every second question chooses; the figures are those of the others:

    exact_match, f1    in percent, when every question is answered
    recall@5           in percent, whether one of five passages is of the question's own paragraph
    calibration_error  expected calibration error of the confidence, answerable and unanswerable questions together
    risk_coverage      percent of wrong answers among the most confident 10, 20, ... 100% of these
    declined           percent of the unanswerable questions that are declined at the threshold
    declined_answerable  percent of the answerable ones

    heldout      questions that were not trained on
    distractors  paragraphs with answers to none of them
    folder       gets the corpora
    Raises BadInput if there are fewer than two questions, or no distractor.
    """
    asked = [one for one in heldout if one.answers]
    if len(asked) < 2 or not distractors:
        raise BadInput(
            f"{len(asked)} held-out questions and {len(distractors)} other paragraphs are too few to choose weights; "
            "train on questions about more titles, or set heldout_every to a smaller number."
        )

    def ask(name: str, articles: Sequence[Article], bm25_weights: Sequence[float]) -> tuple[Corpus, Evidence]:
        corpus = Corpus.build(
            articles,
            folder / name,
            tokenizer=model.tokenizer,
            max_passage_tokens=settings.max_passage_tokens,
            near_duplicates=False,
        )
        index = Index.build(model, corpus, engine=engine)
        return corpus, gather(model, corpus, index, [one.text for one in asked], bm25_weights, engine)

    corpus, evidence = ask("asked", [*paragraphs(asked), *distractors], BM25_WEIGHTS)
    answering = best_weights(evidence, [one.answers for one in asked], range(0, len(asked), 2))
    _, without = ask("without-answers", distractors, [answering.bm25_weight])

    answers, others = evidence.answers(answering), without.answers(answering)
    is_right_N = _right(answers, [one.answers for one in asked])
    answering = with_confidence(answering, list(zip(answers[::2], is_right_N[::2].tolist(), strict=True)), others[::2])
    confidence_N, other_confidence_N = (_confidences(answering, of) for of in (answers, others))
    answering = dataclasses.replace(answering, threshold=float(np.quantile(confidence_N[::2], DECLINED)))

    texts = [found[0].text if found else "" for found in answers]
    recalled = [
        any(corpus.passage(number).article_id == one.article_id for number, _ in passages[:_NUM_RECALLED])
        for one, passages in zip(asked, evidence.found[answering.bm25_weight], strict=True)
    ]
    tested = slice(1, None, 2)
    all_confidence_N = np.concatenate([confidence_N[tested], other_confidence_N[tested]])
    all_right_N = np.concatenate([is_right_N[tested], np.zeros(len(others[tested]), dtype=np.bool_)])
    return answering, {
        "questions": len(asked[tested]),
        "passages": len(corpus),
        "exact_match": _percent(is_right_N[tested]),
        "f1": _percent([f1(text, one.answers) for text, one in zip(texts[tested], asked[tested], strict=True)]),
        "recall@5": _percent(recalled[tested]),
        "calibration_error": round(calibration_error(all_confidence_N, all_right_N), 4),
        "risk_coverage": [round(100 * risk, 1) for risk in risk_coverage(all_confidence_N, all_right_N)],
        "declined": _percent(other_confidence_N[tested] < answering.threshold),
        "declined_answerable": _percent(confidence_N[tested] < answering.threshold),
    }


@torch.inference_mode()
def gather(
    model: Realm, corpus: Corpus, index: Index, questions: Sequence[str], bm25_weights: Sequence[float], engine: Engine
) -> Evidence:
    """Find passages for questions as the model does when it answers, with each weight of BM25, and read all of them.

    Puts the model into evaluation mode.
    """
    model.eval()
    num_read, bm25 = documents().finetune.num_candidates, Bm25.build(corpus)
    asked = tokenize(questions, corpus.tokenizer(), longest_question(model, corpus))
    found: dict[float, list[list[tuple[int, float]]]] = {}
    for weight in bm25_weights:
        finder = FusedFinder(index, bm25, Answering(bm25_weight=weight, retrieval_weight=1.0))
        found[weight] = []
        for start in range(0, len(asked), _FOUND_AT_ONCE):
            with engine.autocast():
                score_BK, id_BK = finder.find(model, corpus, asked[start : start + _FOUND_AT_ONCE], num_read)
            pairs = zip(id_BK.tolist(), score_BK.tolist(), strict=True)
            found[weight] += [list(zip(ids, scores, strict=True)) for ids, scores in pairs]
    wanted = [
        (number, passage)
        for number, lists in enumerate(zip(*found.values(), strict=True))
        for passage in dict.fromkeys(passage for passages in lists for passage, _ in passages)
    ]
    spans: list[dict[int, Found]] = [{} for _ in asked]
    with track("reading passages for held-out questions", len(wanted)) as advance:
        for start in range(0, len(wanted), _READ_AT_ONCE):
            part = wanted[start : start + _READ_AT_ONCE]
            read = _read(model, corpus, [asked[number] for number, _ in part], [one for _, one in part], engine)
            for (number, passage), best in zip(part, read, strict=True):
                spans[number].update((passage, one) for one in best)
            advance(len(part))
    return Evidence(found, spans)


def _read(
    model: Realm, corpus: Corpus, asked: Sequence[TokenizedQuestion], passages: Sequence[int], engine: Engine
) -> list[list[Found]]:
    """The best span of each question's passage, if it has one."""
    settings = documents().finetune
    id_B1 = torch.tensor(passages)[:, None]
    with engine.autocast():
        scores = read_spans(model, corpus, asked, torch.zeros(id_B1.shape, device=model.device), id_B1, settings)
    return best_spans(corpus, scores, settings.answer_bounds)


def best_weights(evidence: Evidence, references: Sequence[Sequence[str]], chosen: Sequence[int]) -> Answering:
    """The weights with the most exact matches among the questions `chosen`; of several, the first of the grid."""

    def num_right(answering: Answering) -> int:
        answers = evidence.answers(answering)
        return int(_right([answers[n] for n in chosen], [references[n] for n in chosen]).sum())

    grid = itertools.product(evidence.found, RETRIEVAL_WEIGHTS)
    return max((Answering(bm25_weight=w, retrieval_weight=r) for w, r in grid), key=num_right)


def with_confidence(
    answering: Answering, judged: Sequence[tuple[Sequence[Found], bool]], unanswerable: Sequence[Sequence[Found]]
) -> Answering:
    """`answering` with the confidence that fits answers to questions.

    The weights of the two scores are those that best tell answerable questions from others, since that is what
    declining is for; together they are scaled to the probability that the answer is right.

    judged        the best spans for answerable questions, and whether the first of them is right
    unanswerable  those for questions without an answer
    Questions for which no passage has a span are ignored.
    """
    judged = [(found, is_right) for found, is_right in judged if found]
    others = [found for found in unanswerable if found]
    score_N2 = np.array([confidence_scores(found) for found in [*(found for found, _ in judged), *others]])
    is_answerable_N = np.arange(len(score_N2)) < len(judged)
    is_right_N = np.array([is_right for _, is_right in judged] + [False] * len(others))
    slope_2 = np.array(fit_logistic(score_N2, is_answerable_N)[:2])
    scale, offset = fit_logistic((score_N2 @ slope_2)[:, None], is_right_N)
    slope, retrieval = (scale * slope_2).tolist()
    return dataclasses.replace(
        answering, confidence_slope=slope, confidence_retrieval=retrieval, confidence_offset=offset
    )


def fit_logistic(score_NF: Floats, is_right_N: Bools) -> tuple[float, ...]:
    """Slopes for each of F scores and offset of the log odds that an answer is right, by maximum likelihood.

    Platt (1999), for several scores. As there, the n right ones count as (n + 1) / (n + 2) right, and the wrong ones
    likewise, so that all weights stay finite where a score separates them.

    >>> score_NF = np.array([[-1.0], [-1.0], [1.0], [1.0]])
    >>> slope, offset = fit_logistic(score_NF, np.array([False, False, True, True]))
    >>> round(slope, 3), round(offset, 3)
    (1.099, 0.0)
    """
    num_right = int(is_right_N.sum())
    num_wrong = len(is_right_N) - num_right
    target_N = np.where(is_right_N, (num_right + 1) / (num_right + 2), 1 / (num_wrong + 2))
    input_NW = np.concatenate([score_NF, np.ones((len(score_NF), 1))], axis=1)

    def loss(weight_W: Floats) -> float:
        logit_N = input_NW @ weight_W
        return float((np.logaddexp(0, logit_N) - target_N * logit_N).sum())

    weight_W, best = np.zeros(input_NW.shape[1]), loss(np.zeros(input_NW.shape[1]))
    for _ in range(_MAX_NEWTON_STEPS):
        probability_N = 0.5 * (1 + np.tanh(input_NW @ weight_W / 2))
        gradient_W = input_NW.T @ (probability_N - target_N)
        hessian_WW = (input_NW.T * (probability_N * (1 - probability_N))) @ input_NW
        step_W = np.linalg.lstsq(hessian_WW, gradient_W)[0]
        sizes = (0.5**n for n in range(30))
        size = next((size for size in sizes if loss(weight_W - size * step_W) < best), None)
        if size is None:
            break
        weight_W = weight_W - size * step_W
        best = loss(weight_W)
    return tuple(weight_W.tolist())


def calibration_error(confidence_N: npt.ArrayLike, is_right_N: npt.ArrayLike) -> float:
    """Expected calibration error: the mean distance of confidence and accuracy in ten bins of equal width, weighted by
    the number of answers in each (Guo et al. 2017).

    >>> calibration_error([0.75, 0.75, 0.25], [True, False, False])
    0.25
    """
    confidence, is_right = np.asarray(confidence_N, np.float64), np.asarray(is_right_N, np.float64)
    bins = np.minimum((confidence * _NUM_BINS).astype(int), _NUM_BINS - 1)
    gaps = np.bincount(bins, weights=confidence - is_right, minlength=_NUM_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def risk_coverage(confidence_N: npt.ArrayLike, is_right_N: npt.ArrayLike) -> list[float]:
    """The share of wrong answers among the most confident 10%, 20%, ... 100% of N (El-Yaniv and Wiener 2010).

    >>> risk_coverage([0.9, 0.2], [True, False])
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5]
    """
    order = np.argsort(-np.asarray(confidence_N, np.float64), kind="stable")
    is_wrong_N = 1 - np.asarray(is_right_N, np.float64)[order]
    counts = [math.ceil(len(order) * tenth / _NUM_BINS) for tenth in range(1, _NUM_BINS + 1)]
    return [float(is_wrong_N[:count].mean()) for count in counts]


def _confidences(answering: Answering, answers: Sequence[Sequence[Found]]) -> Floats:
    """Confidence in each answer; 0 where there is none."""
    return np.array([answering.confidence(*confidence_scores(found)) if found else 0.0 for found in answers])


def _right(answers: Sequence[Sequence[Found]], references: Sequence[Sequence[str]]) -> Bools:
    pairs = zip(answers, references, strict=True)
    return np.array([bool(found) and exact_match(found[0].text, given) for found, given in pairs], np.bool_)


def _percent(values: Sequence[float] | Bools) -> float:
    return round(100 * float(np.mean(values)), 1)
