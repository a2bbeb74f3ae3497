"""Top-k truncation (Guu et al. 2020, Sec. 3.3): exact at k = N, nearer and nearer before, exact for what it sums."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from openrealm.corpus.corpus import Corpus
from openrealm.index.index import Index
from openrealm.model.marginal import marginal_log_likelihood, retriever_signal
from openrealm.model.reading import Reading
from openrealm.model.realm import Realm
from openrealm.train.candidates import find_candidates
from openrealm.train.examples import Example
from openrealm.types import NULL

Slow = Callable[..., tuple[list[float], list[list[float]]]]
Likelihood = Callable[..., Tensor]
Read = Callable[..., Reading]
Encode = Callable[..., Tensor]
IndexOf = Callable[[Realm], Index]


@pytest.fixture(scope="module")
def model(sharp_realm: Callable[..., Realm]) -> Realm:
    return sharp_realm()


@pytest.fixture(scope="module")
def many(tiny_corpus: Corpus) -> list[Example]:
    """Four masked queries of every passage, one or two masks each, anywhere."""
    rng = np.random.default_rng(5)
    found = []
    for passage in range(tiny_corpus.num_passages):
        for num_masks in (1, 1, 2, 2):
            query = tiny_corpus.body(passage).copy()
            places = tuple(sorted(rng.choice(len(query), num_masks, replace=False).tolist()))
            gold = tuple(query[list(places)].tolist())
            query[list(places)] = tiny_corpus.specials.mask
            found.append(Example(query, places, gold, passage, "uniform", (tiny_corpus.group(passage),)))
    return found


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("block", [False, True])
def test_with_k_of_all_passages_the_truncated_objective_is_the_exact_one(
    model: Realm,
    tiny_corpus: Corpus,
    everything: list[int],
    examples: list[Example],
    index_of: IndexOf,
    encode: Encode,
    read_all: Read,
    likelihood: Likelihood,
    tower_gradient: Callable[..., Tensor],
    block: bool,
    per_token: bool,
) -> None:
    """Value and gradient of both towers; where trivial candidates are blocked, exact over the others."""
    query_BD = encode(model, examples)
    found = find_candidates(index_of(model), query_BD, examples, len(everything), block_trivial=block)
    assert found[0] != sorted(found[0]), "the index lists them by score"
    group = tiny_corpus.group
    own = [{p for p in everything[1:] if block and group(p) == group(e.passage)} for e in examples]
    exact = [[p for p in everything if p not in trivial] for trivial in own]
    assert [sorted(row) for row in found] == exact
    truncated_B, exact_B = (likelihood(read_all(model, examples, rows), per_token) for rows in (found, exact))
    torch.testing.assert_close(truncated_B, exact_B, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        tower_gradient(model, truncated_B.sum()), tower_gradient(model, exact_B.sum()), rtol=1e-9, atol=1e-11
    )


@torch.no_grad()
def test_value_and_gradient_come_nearer_to_the_exact_ones_as_k_grows(
    sharp_realm: Callable[..., Realm],
    everything: list[int],
    many: list[Example],
    index_of: IndexOf,
    encode: Encode,
    read_all: Read,
    likelihood: Likelihood,
) -> None:
    """On average over queries and models; a single query may stray on its way.

    The signal of k = 1 is 0 (one candidate cannot be told from another); that of k = 2 may lie further off than none.
    """
    sizes = (1, 2, 4, 8, len(everything))
    value_errors, signal_errors = [0.0] * len(sizes), [0.0] * len(sizes)
    for model in (sharp_realm(seed=seed) for seed in range(4)):
        index, query_BD = index_of(model), encode(model, many)
        exact = read_all(model, many)
        exact_B, signal_BN = likelihood(exact), signal_over(exact, len(everything))
        for place, k in enumerate(sizes):
            found = find_candidates(index, query_BD, many, k, block_trivial=False)
            reading = read_all(model, many, found)
            value_errors[place] += float((likelihood(reading) - exact_B).abs().mean())
            signal_errors[place] += float((signal_over(reading, len(everything)) - signal_BN).norm(dim=1).mean())
            assert k > 1 or bool((signal_over(reading, len(everything)) == 0).all())
    for errors in (value_errors, signal_errors[1:]):
        assert errors == sorted(errors, reverse=True)
        assert errors[0] > 0.1
        assert errors[-1] < 1e-12


def signal_over(reading: Reading, num_all: int) -> Tensor:
    """r(z) in the columns of all of Z (the null passage first), 0 for what was not read."""
    signal_BK = retriever_signal(reading.score_BK, reading.gold_logp_BKJ, reading.mask_BJ, reading.valid_BK)
    return torch.zeros(len(signal_BK), num_all, dtype=torch.float64).scatter(
        1, torch.tensor(reading.candidates) + 1, signal_BK
    )


def test_over_thousands_of_random_queries_the_mean_bias_shrinks_with_every_doubling() -> None:
    generator = torch.Generator().manual_seed(0)
    score_BN = 1.5 * torch.randn(4000, 64, generator=generator, dtype=torch.float64)
    gold_BN1 = -3 * torch.rand(4000, 64, 1, generator=generator, dtype=torch.float64)
    mask_B1 = torch.ones(4000, 1, dtype=torch.bool)
    order_BN = score_BN.argsort(dim=1, descending=True)
    exact_B = marginal_log_likelihood(score_BN, gold_BN1, mask_B1)
    biases = []
    for k in (1, 2, 4, 8, 16, 32, 64):
        top_Bk = order_BN[:, :k]
        value_B = marginal_log_likelihood(score_BN.gather(1, top_Bk), gold_BN1.gather(1, top_Bk[:, :, None]), mask_B1)
        biases.append(float((value_B - exact_B).mean()))
    # The logarithm of a mean over fewer passages lies lower on average, so the bias has a sign.
    assert biases == sorted(biases)
    assert biases[0] < -0.1
    assert biases[-1] == pytest.approx(0, abs=1e-12)


def test_a_stale_index_chooses_and_the_live_towers_score(
    sharp_realm: Callable[..., Realm],
    examples: list[Example],
    index_of: IndexOf,
    encode: Encode,
    read_all: Read,
    likelihood: Likelihood,
    tower_gradient: Callable[..., Tensor],
    slow: Slow,
) -> None:
    """p(z|x) is the live softmax renormalised over the k, null included, and the gradient is exact for that sum."""
    model = sharp_realm()
    stale = index_of(model)
    generator = torch.Generator().manual_seed(3)
    for parameter in model.retriever.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    query_BD = encode(model, examples)
    by_stale, by_live = (find_candidates(index, query_BD, examples, 4) for index in (stale, index_of(model)))
    assert by_stale != by_live, "the index is stale enough to choose otherwise"
    reading = read_all(model, examples, by_stale)
    value_B = likelihood(reading)
    signals = []
    for b, example in enumerate(examples):
        assert by_stale[b][0] == NULL
        prior, readings = slow(model, example, by_stale[b])
        joint = [p * math.prod(row) for p, row in zip(prior, readings, strict=True)]
        assert torch.softmax(reading.score_BK[b], dim=0).tolist() == pytest.approx(prior, rel=1e-9)
        assert value_B[b].item() == pytest.approx(math.log(sum(joint)), rel=1e-9)
        signals.append([value / sum(joint) - p for value, p in zip(joint, prior, strict=True)])
    expected = tower_gradient(model, (torch.tensor(signals, dtype=torch.float64) * reading.score_BK).sum())
    torch.testing.assert_close(tower_gradient(model, value_B.sum()), expected, rtol=1e-9, atol=1e-11)
