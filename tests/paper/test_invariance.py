"""What must not matter: the marginal's kind where both agree, padding of any axis, order, the rest of the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from openrealm.model.reading import Reading
from openrealm.model.realm import Realm
from openrealm.train.examples import Example
from openrealm.types import NULL

Likelihood = Callable[..., Tensor]
Read = Callable[..., Reading]
Gradient = Callable[..., Tensor]

# Lists of unequal length, passages that several queries share, the null passage in no fixed place.
CANDIDATES = [[NULL, 3, 9, 5], [NULL, 9], [2, 3, NULL, 7, 11], [NULL], [6, 9, 3]]


@pytest.fixture(scope="module")
def model(sharp_realm: Callable[..., Realm]) -> Realm:
    return sharp_realm()


def same(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)


def with_masks(example: Example, num_masks: int) -> Example:
    """The example with only its first masks; the others get their tokens back."""
    query = example.original
    query[list(example.positions[:num_masks])] = example.query[example.positions[0]]
    return replace(example, query=query, positions=example.positions[:num_masks], gold=example.gold[:num_masks])


def test_both_marginals_are_one_for_a_single_mask(
    model: Realm, examples: list[Example], read_all: Read, likelihood: Likelihood, tower_gradient: Gradient
) -> None:
    reading = read_all(model, [with_masks(example, 1) for example in examples])
    assert reading.mask_BJ.shape[1] == 1
    by_sequence, by_token = likelihood(reading), likelihood(reading, per_token=True)
    same(by_token, by_sequence)
    same(tower_gradient(model, by_token.sum()), tower_gradient(model, by_sequence.sum()))


@pytest.mark.parametrize("passage", [NULL, 4])
def test_both_marginals_are_one_for_a_single_passage_up_to_the_average(
    model: Realm, examples: list[Example], read_all: Read, likelihood: Likelihood, passage: int
) -> None:
    reading = read_all(model, examples, [[passage]] * len(examples))
    num_masks_B = torch.tensor([len(example.positions) for example in examples])
    same(likelihood(reading, per_token=True) * num_masks_B, likelihood(reading))


def test_the_marginals_differ_for_several_masks_and_passages(
    model: Realm, examples: list[Example], read_all: Read, likelihood: Likelihood
) -> None:
    example = examples[1]
    reading = read_all(model, [example])
    gap = likelihood(reading, per_token=True) * len(example.positions) - likelihood(reading)
    assert abs(gap.item()) > 1e-3


@pytest.mark.parametrize("per_token", [False, True])
def test_a_query_is_read_the_same_alone_as_in_any_batch(
    model: Realm,
    examples: list[Example],
    read_all: Read,
    likelihood: Likelihood,
    tower_gradient: Gradient,
    per_token: bool,
) -> None:
    """Alone, a query meets no padding of tokens, masks or candidates; in the batch all three. Values and gradients."""
    batch_B = likelihood(read_all(model, examples, CANDIDATES), per_token)
    lone = [likelihood(read_all(model, [e], [row]), per_token) for e, row in zip(examples, CANDIDATES, strict=True)]
    same(batch_B, torch.cat(lone))
    same(tower_gradient(model, batch_B.mean()), sum(tower_gradient(model, value.sum()) for value in lone) / len(lone))
    for order in ([4, 2, 0, 1, 3], [2, 2, 1]):
        part_B = likelihood(read_all(model, [examples[b] for b in order], [CANDIDATES[b] for b in order]), per_token)
        same(part_B, batch_B[order])


@pytest.mark.parametrize("per_token", [False, True])
def test_the_order_of_candidates_changes_nothing(
    model: Realm,
    examples: list[Example],
    everything: list[int],
    read_all: Read,
    likelihood: Likelihood,
    tower_gradient: Gradient,
    per_token: bool,
) -> None:
    orders = torch.Generator().manual_seed(0)
    turned = [[everything[i] for i in torch.randperm(len(everything), generator=orders).tolist()] for _ in examples]
    values = [likelihood(read_all(model, examples, rows), per_token) for rows in (None, turned)]
    same(values[1], values[0])
    same(tower_gradient(model, values[1].sum()), tower_gradient(model, values[0].sum()))


@torch.no_grad()
def test_what_the_padding_token_looks_like_changes_no_score(
    sharp_realm: Callable[..., Realm], examples: list[Example], read_all: Read
) -> None:
    def rewritten(token: int) -> Tensor:
        model = sharp_realm()
        for tower in (model.retriever.query_tower, model.retriever.passage_tower):
            tower.encoder.word_embeddings()[token] = torch.linspace(-3, 3, tower.encoder.hidden_size) ** 3
        return read_all(model, examples, CANDIDATES).score_BK

    model = sharp_realm()
    plain_BK = read_all(model, examples, CANDIDATES).score_BK
    same(rewritten(model.specials.pad), plain_BK)
    assert float((rewritten(model.specials.sep) - plain_BK).abs().max()) > 1e-2, "that of a real token would"


def test_candidates_that_are_not_valid_have_no_part_in_value_or_gradient(
    model: Realm, examples: list[Example], read_all: Read, likelihood: Likelihood, tower_gradient: Gradient
) -> None:
    reading = read_all(model, examples, CANDIDATES)
    assert not bool(reading.valid_BK.all())
    filled_BK = reading.score_BK.masked_fill(~reading.valid_BK, 50.0)
    filled_BKJ = reading.gold_logp_BKJ.masked_fill(~reading.valid_BK[:, :, None], -50.0)
    filled = replace(reading, score_BK=filled_BK, gold_logp_BKJ=filled_BKJ)
    same(likelihood(filled), likelihood(reading))
    same(tower_gradient(model, likelihood(filled).sum()), tower_gradient(model, likelihood(reading).sum()))
    (grad_BK,) = torch.autograd.grad(likelihood(reading).sum(), reading.score_BK)
    assert bool((grad_BK[~reading.valid_BK] == 0).all())
