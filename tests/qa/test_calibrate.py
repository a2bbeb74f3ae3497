"""Weights against answering with each of them, the fit against slow ones, calibration error against its definition."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.errors import BadInput
from openrealm.evaluate.answers import exact_match
from openrealm.index.bm25 import Bm25
from openrealm.index.index import Index
from openrealm.model.answering import Answering
from openrealm.model.realm import Realm
from openrealm.qa.calibrate import (
    RETRIEVAL_WEIGHTS,
    Evidence,
    best_weights,
    calibrate,
    calibration_error,
    fit_logistic,
    gather,
    risk_coverage,
    with_confidence,
)
from openrealm.qa.questions import Asked, paragraphs, split
from openrealm.qa.settings import QaSettings
from openrealm.recipes.documents import documents
from openrealm.train.fusion import FusedFinder
from openrealm.train.spans import Found, answer_all, confidence_scores
from openrealm.types import Question

CPU = Engine("cpu", False)


def test_evidence_answers_as_the_model_does_with_the_same_weights(
    qa_model: Realm, qa_corpus: Corpus, toy_asked: list[Asked]
) -> None:
    asked = toy_asked[:20]
    index = Index.build(qa_model, qa_corpus, engine=CPU)
    evidence = gather(qa_model, qa_corpus, index, [one.text for one in asked], (2.0, 10.0), CPU)
    bm25 = Bm25.build(qa_corpus)
    for words, retrieval in itertools.product((2.0, 10.0), (0.1, 2.0)):
        answering = Answering(bm25_weight=words, retrieval_weight=retrieval)
        finder = FusedFinder(index, bm25, answering)
        questions = [Question(one.text, one.answers) for one in asked]
        settings = documents().finetune
        most = settings.num_candidates
        expected, _ = answer_all(qa_model, qa_corpus, finder, questions, settings, CPU, num_retrieved=most)
        for ours, theirs in zip(evidence.answers(answering), expected, strict=True):
            assert [(one.passage, one.text) for one in ours] == [(one.passage, one.text) for one in theirs]
            assert [one.logit for one in ours] == pytest.approx([one.logit for one in theirs], abs=1e-4)
            assert confidence_scores(ours) == pytest.approx(confidence_scores(theirs), abs=1e-4)


def random_evidence(seed: int) -> tuple[Evidence, list[list[str]]]:
    """Questions with up to five of eight passages, of which some have no span."""
    rng = np.random.default_rng(seed)
    num_questions, weights = 12, (2.0, 6.0)
    found = {
        weight: [
            [(int(n), float(rng.normal() * 5)) for n in rng.permutation(8)[: rng.integers(1, 6)]]
            for _ in range(num_questions)
        ]
        for weight in weights
    }
    spans = [
        {n: Found(n, str(rng.integers(3)), 0, 1, float(rng.normal() * 5), 0.0) for n in range(8) if rng.random() < 0.8}
        for _ in range(num_questions)
    ]
    return Evidence(found, spans), [[str(rng.integers(3))] for _ in range(num_questions)]


@given(seed=st.integers(0, 2**31))
def test_the_best_weights_are_those_of_a_search_by_hand(seed: int) -> None:
    evidence, references = random_evidence(seed)
    chosen = range(0, len(references), 2)
    best, best_right = (0.0, 0.0), -1
    for words, retrieval in itertools.product(evidence.found, RETRIEVAL_WEIGHTS):
        num_right = 0
        for n in chosen:
            text, best_score = "", -math.inf
            for passage, score in evidence.found[words][n]:
                if passage not in evidence.spans[n]:
                    continue
                total = evidence.spans[n][passage].logit + retrieval * score
                if total > best_score:
                    text, best_score = evidence.spans[n][passage].text, total
            num_right += best_score > -math.inf and exact_match(text, references[n])
        if num_right > best_right:
            best, best_right = (words, retrieval), num_right
    answering = best_weights(evidence, references, chosen)
    assert (answering.bm25_weight, answering.retrieval_weight) == best


def smoothed(is_right: np.ndarray) -> np.ndarray:
    n = int(is_right.sum())
    return np.where(is_right, (n + 1) / (n + 2), 1 / (len(is_right) - n + 2))


@given(seed=st.integers(0, 2**31), size=st.integers(2, 60), scale=st.sampled_from([0.01, 1.0, 30.0]))
def test_the_fit_is_that_of_a_general_optimiser(seed: int, size: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    score = scale * rng.normal(size=(size, 2))
    is_right = rng.random(size) < 1 / (1 + np.exp(-(score[:, 0] - 0.5 * score[:, 1]) / scale - 0.5))
    *slopes, offset = fit_logistic(score, is_right)
    x, target = torch.from_numpy(score / scale), torch.from_numpy(smoothed(is_right))

    def loss(weight: torch.Tensor) -> torch.Tensor:
        logit = x @ weight[:2] + weight[2]
        return torch.nn.functional.binary_cross_entropy_with_logits(logit, target, reduction="sum")

    weight = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight], max_iter=500, line_search_fn="strong_wolfe", tolerance_grad=1e-10)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss(weight)
        value.backward()
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    ours = loss(torch.tensor([*(scale * slope for slope in slopes), offset], dtype=torch.float64))
    assert float(ours) <= float(loss(weight).detach()) + 1e-6


def test_confidence_weighs_scores_by_what_is_answerable_and_is_scaled_to_what_is_right() -> None:
    rng = np.random.default_rng(0)

    def asked(retrieval: float) -> list[Found]:
        first = Found(1, "a", 0, 1, 9.0, float(rng.normal() - 2))
        return [first, Found(2, "b", 0, 1, 0.0, float(rng.normal() + retrieval))]

    answerable = [(asked(2.0), bool(rng.random() < 0.5)) for _ in range(400)]
    others = [asked(-2.0) for _ in range(400)]
    answering = with_confidence(Answering(), [*answerable, ([], False)], [*others, []])
    score = np.array([confidence_scores(found) for found in [*(found for found, _ in answerable), *others]])
    span, retrieval, _ = fit_logistic(score, np.arange(800) < 400)
    assert answering.confidence_slope / answering.confidence_retrieval == pytest.approx(span / retrieval)
    assert answering.confidence_retrieval > 2 * abs(answering.confidence_slope)  # the best score, not the first span's
    confidence = np.array([answering.confidence(*one) for one in score])
    assert confidence.mean() == pytest.approx(np.mean([is_right for _, is_right in answerable]) / 2, abs=0.01)
    assert np.mean(confidence[:400][:, None] > confidence[400:]) > 0.9


@given(counts=st.tuples(*[st.integers(1, 40)] * 4))
def test_the_fit_of_two_scores_has_a_closed_form(counts: tuple[int, int, int, int]) -> None:
    score = np.repeat([-1.0, -1.0, 2.0, 2.0], counts)
    is_right = np.repeat([False, True, False, True], counts)
    target = smoothed(is_right)
    low, high = target[score < 0].mean(), target[score > 0].mean()
    slope, offset = fit_logistic(score[:, None], is_right)
    assert slope * -1 + offset == pytest.approx(math.log(low / (1 - low)), abs=1e-5)
    assert slope * 2 + offset == pytest.approx(math.log(high / (1 - high)), abs=1e-5)


def test_the_fit_is_finite_where_a_score_separates_or_says_nothing() -> None:
    slope, offset = fit_logistic(np.array([[-3.0], [-2.0], [2.0], [3.0]]), np.array([False, False, True, True]))
    assert 0 < slope < 10
    assert abs(offset) < 1
    slope, offset = fit_logistic(np.full((6, 1), 2.0), np.array([True] * 3 + [False] * 3))
    assert Answering(confidence_slope=slope, confidence_offset=offset).confidence(2.0, 0.0) == pytest.approx(0.5)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_the_calibration_error_is_its_definition(answers: list[tuple[float, bool]]) -> None:
    expected = 0.0
    for number in range(10):
        inside = [(c, r) for c, r in answers if number == min(9, int(c * 10))]
        if inside:
            accuracy = sum(r for _, r in inside) / len(inside)
            confidence = sum(c for c, _ in inside) / len(inside)
            expected += len(inside) / len(answers) * abs(accuracy - confidence)
    confidences, rights = zip(*answers, strict=True)
    assert calibration_error(confidences, rights) == pytest.approx(expected)


def test_a_model_is_calibrated_on_one_half_and_measured_on_the_other(
    tmp_path: Path, qa_model: Realm, toy_asked: list[Asked], qa_settings: Callable[..., QaSettings]
) -> None:
    train, heldout = split(toy_asked, 4)
    answering, figures = calibrate(qa_model, heldout, paragraphs(train), qa_settings(), CPU, tmp_path)
    assert figures["questions"] == len(heldout) // 2
    assert 0 <= answering.threshold <= 1
    assert figures["recall@5"] > 50, "BM25 finds the name of the country"
    assert 0 <= figures["calibration_error"] <= 1
    assert len(figures["risk_coverage"]) == 10
    with pytest.raises(BadInput, match=r"1 held-out questions and \d+ other paragraphs are too few"):
        calibrate(qa_model, heldout[:1], paragraphs(train), qa_settings(), CPU, tmp_path)


@given(seed=st.integers(0, 2**31), size=st.integers(1, 50))
def test_risk_and_coverage_are_counted_by_hand(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    confidence, is_right = rng.permutation(size) / size, rng.random(size) < 0.6
    risks = risk_coverage(confidence, is_right)
    ranked = sorted(zip(confidence.tolist(), is_right.tolist(), strict=True), reverse=True)
    for tenth, risk in enumerate(risks, 1):
        kept = ranked[: math.ceil(size * tenth / 10)]
        assert risk == pytest.approx(sum(not right for _, right in kept) / len(kept))
