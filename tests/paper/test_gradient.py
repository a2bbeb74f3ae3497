"""The gradient that reaches the towers: against central differences, and against r(z) = p(z|x,y) - p(z|x) in loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from openrealm.corpus.corpus import Corpus
from openrealm.model.reading import Reading
from openrealm.model.realm import Realm
from openrealm.text.pack import pack_passage
from openrealm.train.examples import Example
from openrealm.types import NULL

Slow = Callable[..., tuple[list[float], list[list[float]]]]
Likelihood = Callable[..., Tensor]
Read = Callable[..., Reading]


@pytest.fixture(scope="module", params=["apart", "shared"])
def model(request: pytest.FixtureRequest, sharp_realm: Callable[..., Realm]) -> Realm:
    return sharp_realm(f"model.shared_towers={request.param == 'shared'}")


def signal(prior: list[float], readings: list[list[float]], per_token: bool) -> list[float]:
    """d log p(y|x) / d f(x,z): p(z|x,y) - p(z|x); by token the mean over masks of the same with y_j for y."""
    columns = list(zip(*readings, strict=True)) if per_token else [tuple(math.prod(row) for row in readings)]
    total = [0.0] * len(prior)
    for column in columns:
        joint = [p * q for p, q in zip(prior, column, strict=True)]
        for k, value in enumerate(joint):
            total[k] += (value / sum(joint) - prior[k]) / len(columns)
    return total


@pytest.fixture(scope="module")
def truth(model: Realm, examples: list[Example], everything: list[int], slow: Slow) -> list[tuple[list[float], ...]]:
    """Per query: p(z|x), p(y|z,x), r(z) by sequence and r(z) by token, all by loops."""
    found = []
    for example in examples:
        prior, readings = slow(model, example, everything)
        answers = [math.prod(row) for row in readings]
        found.append((prior, answers, signal(prior, readings, False), signal(prior, readings, True)))
    return found


@pytest.mark.parametrize("tower", ["query_tower", "passage_tower"])
def test_every_weight_of_a_tower_gets_the_gradient_of_the_finite_difference(
    model: Realm, examples: list[Example], read_all: Read, likelihood: Likelihood, tower: str
) -> None:
    """Along a random direction of each weight tensor, so that no entry is left out; both marginals, null included."""
    weights = dict(getattr(model.retriever, tower).named_parameters())

    def losses() -> Tensor:
        reading = read_all(model, examples[:3])
        return torch.stack([-likelihood(reading, per_token).mean() for per_token in (False, True)])

    both = losses()
    grads = [torch.autograd.grad(loss, list(weights.values()), retain_graph=True) for loss in both]
    assert all(sum(float(grad.norm()) for grad in part) > 1e-2 for part in grads)
    generator = torch.Generator().manual_seed(0)
    step = 1e-4
    with torch.no_grad():
        for number, (name, weight) in enumerate(weights.items()):
            direction = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            direction /= direction.norm()
            before = weight.clone()
            weight.copy_(before + step * direction)
            up = losses()
            weight.copy_(before - step * direction)
            down = losses()
            weight.copy_(before)
            slope = ((up - down) / (2 * step)).tolist()
            got = [float((part[number] * direction).sum()) for part in grads]
            assert got == pytest.approx(slope, rel=1e-6, abs=1e-7), name


def test_the_gradient_of_a_score_is_the_posterior_less_the_prior(
    model: Realm, examples: list[Example], read_all: Read, likelihood: Likelihood, truth: list[tuple[list[float], ...]]
) -> None:
    reading = read_all(model, examples)
    for per_token in (False, True):
        (grad_BK,) = torch.autograd.grad(likelihood(reading, per_token).sum(), reading.score_BK, retain_graph=True)
        for b, (prior, answers, *signals) in enumerate(truth):
            got = grad_BK[b].tolist()
            assert got == pytest.approx(signals[per_token], rel=1e-9, abs=1e-12)
            if not per_token:
                expected = sum(p * a for p, a in zip(prior, answers, strict=True))
                # The form in which the paper prints it, and what it says: up exactly where z beats the expectation.
                assert got == pytest.approx(
                    [(a / expected - 1) * p for p, a in zip(prior, answers, strict=True)], rel=1e-9, abs=1e-12
                )
                assert [r > 0 for r in got] == [a > expected for a in answers]


@pytest.mark.parametrize("per_token", [False, True])
def test_the_gradient_of_the_towers_is_the_signal_times_that_of_the_scores(
    model: Realm,
    examples: list[Example],
    read_all: Read,
    likelihood: Likelihood,
    tower_gradient: Callable[..., Tensor],
    truth: list[tuple[list[float], ...]],
    per_token: bool,
) -> None:
    """Guu et al. 2020, Sec. 3.3: the gradient of log p(y|x) is the sum over z of r(z) times the gradient of f(x,z)."""
    signal_BK = torch.tensor([row[2 + per_token] for row in truth], dtype=torch.float64)
    reading = read_all(model, examples)
    got = tower_gradient(model, likelihood(reading, per_token).sum())
    expected = tower_gradient(model, (signal_BK * reading.score_BK).sum())
    assert float(expected.norm()) > 1e-2
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-11)


def test_the_query_vector_is_pulled_by_the_signal_of_each_passage(
    model: Realm,
    tiny_corpus: Corpus,
    examples: list[Example],
    everything: list[int],
    read_all: Read,
    encode: Callable[..., Tensor],
    truth: list[tuple[list[float], ...]],
) -> None:
    """d log p(y|x) / d E_in(x) is the sum over z of r(z) E_doc(z), entry by entry."""
    query_BD = encode(model, examples)
    score_BK = read_all(model, examples, query_BD=query_BD).score_BK
    signal_BK = torch.tensor([row[2] for row in truth], dtype=torch.float64)
    (grad_BD,) = torch.autograd.grad(score_BK, query_BD, signal_BK)
    with torch.no_grad():
        vectors = [model.retriever.passage_tower([tiny_corpus.passage_row(p)])[0].tolist() for p in everything]
    for b in range(len(examples)):
        pulled = [sum(r * v[d] for r, v in zip(truth[b][2], vectors, strict=True)) for d in range(grad_BD.shape[1])]
        assert grad_BD[b].tolist() == pytest.approx(pulled, rel=1e-9, abs=1e-12)


def test_the_null_passage_is_scored_and_learnt_through_the_passage_tower(
    model: Realm, examples: list[Example], read_all: Read, encode: Callable[..., Tensor]
) -> None:
    """Guu et al. 2020, Sec. 3.4: its score is the inner product with E_doc of the empty text."""
    reading = read_all(model, examples, [[NULL, 3]] * len(examples))
    empty_D = model.retriever.passage_tower([pack_passage((), (), model.specials, 3)])[0]
    torch.testing.assert_close(reading.score_BK[:, 0], encode(model, examples) @ empty_D, rtol=1e-9, atol=1e-12)
    weights = list(model.retriever.passage_tower.parameters())
    grads = torch.autograd.grad(reading.score_BK[:, 0].sum(), weights)
    assert sum(float(grad.norm()) for grad in grads) > 1e-2


def test_a_reader_that_ignores_passages_teaches_the_towers_nothing(
    sharp_realm: Callable[..., Realm],
    examples: list[Example],
    read_all: Read,
    likelihood: Likelihood,
    tower_gradient: Callable[..., Tensor],
) -> None:
    """The cold start of Guu et al. 2020, Sec. 3.4: p(y|z,x) is the same for all z, so r(z) = 0; the reader learns."""
    model = sharp_realm()
    model.reader.head.dense.weight.data.zero_()
    loss = -likelihood(read_all(model, examples)).sum()
    (bias,) = torch.autograd.grad(loss, model.reader.head.bias, retain_graph=True)
    assert float(bias.norm()) > 0.1
    assert float(tower_gradient(model, loss).abs().max()) < 1e-10
