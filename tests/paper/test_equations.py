"""Guu et al. 2020, Eq. 1 and 2, through the code's own joint reading, against loops over probabilities and all of Z."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from openrealm.model.marginal import reading_log_likelihood
from openrealm.model.reading import Reading
from openrealm.model.realm import Realm
from openrealm.train.examples import Example
from openrealm.types import NULL

Slow = Callable[..., tuple[list[float], list[list[float]]]]


def near(value: object) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-12)


@pytest.fixture(scope="module", params=["apart", "shared"])
def model(request: pytest.FixtureRequest, sharp_realm: Callable[..., Realm]) -> Realm:
    return sharp_realm(f"model.shared_towers={request.param == 'shared'}")


@pytest.fixture(scope="module")
def reading(model: Realm, examples: list[Example], read_all: Callable[..., Reading]) -> Reading:
    with torch.no_grad():
        return read_all(model, examples)


@pytest.fixture(scope="module")
def truth(
    model: Realm, examples: list[Example], everything: list[int], slow: Slow
) -> list[tuple[list[float], list[list[float]]]]:
    """Per query: p(z|x) of all of Z, and p(y_j|z,x) passage by passage."""
    return [slow(model, example, everything) for example in examples]


Truth = list[tuple[list[float], list[list[float]]]]


def test_passages_differ_in_what_is_compared(truth: Truth) -> None:
    """Without this the tests below could pass on a model that is the same for every passage."""
    for prior, readings in truth:
        assert max(prior) > 2 / len(prior)
        answers = [math.prod(row) for row in readings]
        assert max(answers) > 1.2 * min(answers)


def test_eq_2_is_the_softmax_of_inner_products_over_all_of_z(reading: Reading, truth: Truth) -> None:
    prior_BK = reading.retrieval_log_prob().exp()
    for b, (prior, _) in enumerate(truth):
        assert prior_BK[b].tolist() == near(prior)


def test_the_reader_is_a_product_over_masks_of_one_softmax_each(
    reading: Reading, truth: Truth, examples: list[Example]
) -> None:
    read_BK = reading_log_likelihood(reading.gold_logp_BKJ, reading.mask_BJ)
    for b, (_, readings) in enumerate(truth):
        masks = len(examples[b].positions)
        assert reading.gold_logp_BKJ[b, :, :masks].exp().flatten().tolist() == near(
            [p for row in readings for p in row]
        )
        assert read_BK[b].exp().tolist() == near([math.prod(row) for row in readings])


def test_eq_1_is_the_sum_over_all_of_z(reading: Reading, truth: Truth, likelihood: Callable[..., torch.Tensor]) -> None:
    whole_B = likelihood(reading)
    for b, (prior, readings) in enumerate(truth):
        summed = 0.0
        for p, row in zip(prior, readings, strict=True):
            summed += p * math.prod(row)
        assert float(whole_B[b].exp()) == near(summed)


def test_the_token_marginal_sums_passages_out_at_every_mask(
    reading: Reading, truth: Truth, likelihood: Callable[..., torch.Tensor]
) -> None:
    token_B = likelihood(reading, per_token=True)
    for b, (prior, readings) in enumerate(truth):
        by_mask = list(zip(*readings, strict=True))
        logs = [math.log(sum(p * q for p, q in zip(prior, column, strict=True))) for column in by_mask]
        assert float(token_B[b]) == near(sum(logs) / len(logs))


def test_probabilities_are_mixed_and_not_their_logarithms(
    reading: Reading, truth: Truth, likelihood: Callable[..., torch.Tensor]
) -> None:
    """A mean of log-probabilities lies below Eq. 1 wherever passages disagree."""
    for value, (prior, readings) in zip(likelihood(reading).tolist(), truth, strict=True):
        assert value > sum(p * math.log(math.prod(row)) for p, row in zip(prior, readings, strict=True)) + 1e-4


def test_the_posterior_is_bayes_rule_over_all_of_z(reading: Reading, truth: Truth) -> None:
    posterior_BK = reading.posterior()
    for b, (prior, readings) in enumerate(truth):
        joint = [p * math.prod(row) for p, row in zip(prior, readings, strict=True)]
        assert posterior_BK[b].tolist() == near([value / sum(joint) for value in joint])


def test_the_utility_is_the_log_ratio_to_reading_the_null_passage(reading: Reading, truth: Truth) -> None:
    utilities_BK = reading.utility_BK()
    for b, (_, readings) in enumerate(truth):
        assert reading.candidates[b][0] == NULL
        assert utilities_BK[b].tolist() == near([math.log(math.prod(row) / math.prod(readings[0])) for row in readings])


@torch.no_grad()
def test_the_likelihoods_of_all_answers_sum_to_one(
    model: Realm,
    examples: list[Example],
    read_all: Callable[..., Reading],
    likelihood: Callable[..., torch.Tensor],
) -> None:
    """p(y|x) is a distribution over the vocabulary: every token in turn is the answer."""
    answers = [replace(examples[0], gold=(token,)) for token in range(model.tokenizer.vocab_size)]
    whole = likelihood(read_all(model, answers, [[NULL, 3, 8]] * len(answers))).exp().sum()
    assert float(whole) == near(1.0)
