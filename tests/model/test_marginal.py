"""The paper's equations compared with loops over probabilities in float64, and their gradients with closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from openrealm.errors import NonFinite, ShapeMismatch
from openrealm.model.marginal import (
    early_loss,
    expected_utility,
    marginal_log_likelihood,
    passage_posterior,
    query_weights,
    reading_log_likelihood,
    retrieval_log_prob,
    retriever_signal,
    span_reader_loss,
    utility_BK,
)


@dataclass
class Case:
    """A batch; the first candidate is always valid."""

    score_BK: Tensor
    gold_logp_BKJ: Tensor
    mask_BJ: Tensor
    valid_BK: Tensor

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.score_BK, self.gold_logp_BKJ, self.mask_BJ, self.valid_BK


@st.composite
def cases(draw: st.DrawFn, max_masks: int = 3) -> Case:
    num_queries, num_candidates = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    num_masks = draw(st.integers(1, max_masks))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scale = draw(st.sampled_from([0.1, 1.0, 5.0]))

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    mask_BJ = torch.rand(num_queries, num_masks, generator=generator) < 0.7
    mask_BJ[:, 0] = True
    valid_BK = torch.rand(num_queries, num_candidates, generator=generator) < 0.8
    valid_BK[:, 0] = True
    return Case(
        scale * normal(num_queries, num_candidates),
        -scale * normal(num_queries, num_candidates, num_masks).abs(),
        mask_BJ,
        valid_BK,
    )


def slow_prior(case: Case, b: int) -> list[float]:
    """p(z|x) of query b, candidate by candidate."""
    weights = [math.exp(case.score_BK[b, k]) if case.valid_BK[b, k] else 0.0 for k in range(case.score_BK.shape[1])]
    return [weight / sum(weights) for weight in weights]


def slow_reading(case: Case, b: int, k: int) -> float:
    """p(y|z,x): the product over the real masks."""
    product = 1.0
    for j in range(case.mask_BJ.shape[1]):
        if case.mask_BJ[b, j]:
            product *= math.exp(case.gold_logp_BKJ[b, k, j])
    return product


def slow_likelihood(case: Case, b: int) -> float:
    """p(y|x), Eq. 1."""
    return sum(p * slow_reading(case, b, k) for k, p in enumerate(slow_prior(case, b)))


def slow_per_token(case: Case, b: int) -> float:
    """The mean over masks of log p(y_j|x), each marginalised over passages."""
    prior = slow_prior(case, b)
    logs = []
    for j in range(case.mask_BJ.shape[1]):
        if case.mask_BJ[b, j]:
            logs.append(math.log(sum(p * math.exp(case.gold_logp_BKJ[b, k, j]) for k, p in enumerate(prior))))
    return sum(logs) / len(logs)


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-12)


@given(cases())
def test_prior_reading_and_marginal_agree_with_the_sums_in_the_paper(case: Case) -> None:
    prior_BK = retrieval_log_prob(case.score_BK, case.valid_BK).exp()
    read_BK = reading_log_likelihood(case.gold_logp_BKJ, case.mask_BJ)
    whole_B = marginal_log_likelihood(*case.parts[:3], valid_BK=case.valid_BK)
    token_B = marginal_log_likelihood(*case.parts[:3], valid_BK=case.valid_BK, per_token=True)
    for b in range(case.score_BK.shape[0]):
        assert prior_BK[b].tolist() == near(slow_prior(case, b))
        assert read_BK[b].exp().tolist() == near([slow_reading(case, b, k) for k in range(read_BK.shape[1])])
        assert float(whole_B[b]) == near(math.log(slow_likelihood(case, b)))
        assert float(token_B[b]) == near(slow_per_token(case, b))


@given(cases())
def test_the_posterior_follows_bayes_rule_and_the_signal_is_posterior_minus_prior(case: Case) -> None:
    posterior_BK = passage_posterior(*case.parts)
    signal_BK = retriever_signal(*case.parts)
    for b in range(case.score_BK.shape[0]):
        prior = slow_prior(case, b)
        likelihood = slow_likelihood(case, b)
        bayes = [p * slow_reading(case, b, k) / likelihood for k, p in enumerate(prior)]
        assert posterior_BK[b].tolist() == near(bayes)
        # r(z) = [p(y|z,x) / p(y|x) - 1] p(z|x), as the paper writes it.
        paper = [(slow_reading(case, b, k) / likelihood - 1) * p for k, p in enumerate(prior)]
        assert signal_BK[b].tolist() == near(paper)
        assert float(signal_BK[b].sum()) == pytest.approx(0, abs=1e-12)


@given(cases())
def test_utility_is_relative_to_the_null_passage_which_its_mean_ignores(case: Case) -> None:
    utilities_BK = utility_BK(case.gold_logp_BKJ, case.mask_BJ)
    mean_B = expected_utility(*case.parts)
    for b in range(case.score_BK.shape[0]):
        null = slow_reading(case, b, 0)
        slow = [math.log(slow_reading(case, b, k) / null) for k in range(utilities_BK.shape[1])]
        assert utilities_BK[b].tolist() == near(slow)
        prior = slow_prior(case, b)
        rest = sum(prior[1:])
        expected = sum(p * u for p, u in zip(prior[1:], slow[1:], strict=True)) / rest if rest else 0.0
        assert float(mean_B[b]) == near(expected)
    every_BK = torch.ones_like(case.valid_BK)
    assert expected_utility(*case.parts[:3]).tolist() == expected_utility(*case.parts[:3], every_BK).tolist()


@given(cases())
def test_the_gradient_of_the_sequence_marginal_is_the_signal(case: Case) -> None:
    score_BK = case.score_BK.clone().requires_grad_()
    marginal_log_likelihood(score_BK, case.gold_logp_BKJ, case.mask_BJ, valid_BK=case.valid_BK).sum().backward()
    assert score_BK.grad is not None
    torch.testing.assert_close(score_BK.grad, retriever_signal(*case.parts), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("per_token", [False, True])
@settings(max_examples=10)
@given(case=cases())
def test_both_gradients_are_the_finite_differences(per_token: bool, case: Case) -> None:
    def value(score_BK: Tensor, gold_BKJ: Tensor) -> Tensor:
        return marginal_log_likelihood(
            score_BK, gold_BKJ, case.mask_BJ, valid_BK=case.valid_BK, per_token=per_token
        ).sum()

    score_BK, gold_BKJ = case.score_BK.clone().requires_grad_(), case.gold_logp_BKJ.clone().requires_grad_()
    value(score_BK, gold_BKJ).backward()
    assert score_BK.grad is not None
    assert gold_BKJ.grad is not None
    torch.testing.assert_close(
        score_BK.grad, differences(lambda s: value(s, case.gold_logp_BKJ), case.score_BK), rtol=1e-6, atol=1e-6
    )
    torch.testing.assert_close(
        gold_BKJ.grad, differences(lambda g: value(case.score_BK, g), case.gold_logp_BKJ), rtol=1e-6, atol=1e-6
    )


def differences(function: Callable[[Tensor], Tensor], at: Tensor, step: float = 1e-5) -> Tensor:
    """Central differences of a scalar function, entry by entry."""
    out = torch.zeros_like(at)
    for index in range(at.numel()):
        up, down = at.clone(), at.clone()
        up.view(-1)[index] += step
        down.view(-1)[index] -= step
        out.view(-1)[index] = (function(up) - function(down)) / (2 * step)
    return out


@given(cases(max_masks=1))
def test_both_marginals_agree_for_one_mask(case: Case) -> None:
    sequence_B = marginal_log_likelihood(*case.parts[:3], valid_BK=case.valid_BK)
    token_B = marginal_log_likelihood(*case.parts[:3], valid_BK=case.valid_BK, per_token=True)
    torch.testing.assert_close(sequence_B, token_B, rtol=1e-12, atol=1e-12)


@given(cases())
def test_both_marginals_agree_for_one_passage_up_to_averaging(case: Case) -> None:
    one = case.score_BK[:, :1], case.gold_logp_BKJ[:, :1], case.mask_BJ
    sequence_B = marginal_log_likelihood(*one)
    token_B = marginal_log_likelihood(*one, per_token=True)
    torch.testing.assert_close(sequence_B / case.mask_BJ.sum(dim=1), token_B, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("per_token", [False, True])
def test_both_marginals_differ_if_passages_explain_different_tokens(per_token: bool) -> None:
    score_BK = torch.zeros(1, 2, dtype=torch.float64)
    gold_BKJ = torch.tensor([[[0.9, 0.1], [0.1, 0.9]]], dtype=torch.float64).log()
    value = float(marginal_log_likelihood(score_BK, gold_BKJ, torch.ones(1, 2, dtype=torch.bool), per_token=per_token))
    assert value == near(math.log(0.5) if per_token else math.log(0.09))


@given(cases(), st.integers(1, 3), st.floats(-50, 0))
def test_padding_of_masks_and_candidates_changes_nothing(case: Case, num_more: int, filler: float) -> None:
    wider_BKJ = torch.nn.functional.pad(case.gold_logp_BKJ, (0, num_more, 0, num_more), value=filler)
    mask_BJ = torch.nn.functional.pad(case.mask_BJ, (0, num_more), value=False)
    score_BK = torch.nn.functional.pad(case.score_BK, (0, num_more), value=filler)
    valid_BK = torch.nn.functional.pad(case.valid_BK, (0, num_more), value=False)
    for per_token in (False, True):
        torch.testing.assert_close(
            marginal_log_likelihood(score_BK, wider_BKJ, mask_BJ, valid_BK=valid_BK, per_token=per_token),
            marginal_log_likelihood(*case.parts[:3], valid_BK=case.valid_BK, per_token=per_token),
            rtol=1e-12,
            atol=1e-12,
        )
    assert expected_utility(score_BK, wider_BKJ, mask_BJ, valid_BK).tolist() == near(
        expected_utility(*case.parts).tolist()
    )


@given(cases(), st.randoms(use_true_random=False))
def test_neither_the_order_of_candidates_nor_the_rest_of_the_batch_matters(case: Case, shuffle: object) -> None:
    order = list(range(case.score_BK.shape[1]))
    shuffle.shuffle(order)  # type: ignore[attr-defined]
    whole_B = marginal_log_likelihood(*case.parts[:3], valid_BK=case.valid_BK)
    turned_B = marginal_log_likelihood(
        case.score_BK[:, order], case.gold_logp_BKJ[:, order], case.mask_BJ, valid_BK=case.valid_BK[:, order]
    )
    torch.testing.assert_close(turned_B, whole_B, rtol=1e-12, atol=1e-12)
    for b in range(case.score_BK.shape[0]):
        alone = marginal_log_likelihood(
            case.score_BK[b : b + 1],
            case.gold_logp_BKJ[b : b + 1],
            case.mask_BJ[b : b + 1],
            valid_BK=case.valid_BK[b : b + 1],
        )
        torch.testing.assert_close(alone, whole_B[b : b + 1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("per_token", [False, True])
def test_scores_of_ten_thousand_stay_finite_in_float32_with_their_gradient(per_token: bool) -> None:
    score_BK = torch.tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]], requires_grad=True)
    gold_BKJ = torch.tensor([[[-1e4, -1.0]] * 3, [[-2.0, -3.0]] * 3])
    value_B = marginal_log_likelihood(score_BK, gold_BKJ, torch.ones(2, 2, dtype=torch.bool), per_token=per_token)
    value_B.sum().backward()
    assert score_BK.grad is not None
    assert bool(torch.isfinite(score_BK.grad).all())
    expected = [(-1e4 - 1) / 2, -2.5] if per_token else [-1e4 - 1, -5.0]
    assert value_B.tolist() == pytest.approx(expected, rel=1e-6)


def test_a_query_without_masks_has_probability_one() -> None:
    for per_token in (False, True):
        value_B = marginal_log_likelihood(
            torch.randn(1, 3), -torch.rand(1, 3, 2), torch.zeros(1, 2, dtype=torch.bool), per_token=per_token
        )
        assert float(value_B) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("shapes", "named"),
    [
        (((2, 3), (2, 4, 5), (2, 5), None), "gold_logp_BKJ"),
        (((2, 3), (1, 3, 5), (2, 5), None), "gold_logp_BKJ"),
        (((2, 3), (2, 3, 5), (2, 4), None), "mask_BJ"),
        (((2, 3), (2, 3, 5), (2, 5), (2, 4)), "valid_BK"),
    ],
)
def test_tensors_that_disagree_are_named(shapes: tuple[tuple[int, ...] | None, ...], named: str) -> None:
    score, gold, mask, valid = shapes
    with pytest.raises(ShapeMismatch, match=f"^{named} is .* must agree"):
        marginal_log_likelihood(
            torch.zeros(score or ()),
            torch.zeros(gold or ()),
            torch.ones(mask or (), dtype=torch.bool),
            valid_BK=None if valid is None else torch.ones(valid, dtype=torch.bool),
        )


@pytest.mark.parametrize("function", [marginal_log_likelihood, passage_posterior, retriever_signal])
def test_every_function_checks_all_its_tensors(function: Callable[..., Tensor]) -> None:
    score, gold, mask = torch.zeros(2, 3), torch.zeros(2, 3, 5), torch.ones(2, 5, dtype=torch.bool)
    valid = torch.ones(2, 3, dtype=torch.bool)
    assert function(score, gold, mask, valid_BK=valid).shape[0] == 2
    for wrong, named in (
        ((score, gold[:, :2], mask, valid), "gold_logp_BKJ"),
        ((score, gold[:, :, 0], mask, valid), "gold_logp_BKJ"),
        ((score, gold, mask[:, :4], valid), "mask_BJ"),
        ((score, gold, mask[:1], valid), "mask_BJ"),
        ((score, gold, mask, valid[:, :2]), "valid_BK"),
    ):
        with pytest.raises(ShapeMismatch, match=f"^{named} is .* must agree"):
            function(*wrong[:3], valid_BK=wrong[3])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("function", [marginal_log_likelihood, passage_posterior, retriever_signal])
def test_the_first_query_that_is_not_finite_is_named(bad: float, function: Callable[..., Tensor]) -> None:
    score_BK, gold_BKJ, mask_BJ = torch.zeros(3, 2), torch.zeros(3, 2, 2), torch.ones(3, 2, dtype=torch.bool)
    score_BK[2, 1] = bad
    with pytest.raises(NonFinite, match="score_BK of query 2"):
        function(score_BK, gold_BKJ, mask_BJ)
    score_BK[2, 1], gold_BKJ[1, 0, 1] = 0.0, bad
    with pytest.raises(NonFinite, match="gold_logp_BKJ of query 1"):
        function(score_BK, gold_BKJ, mask_BJ)


@st.composite
def span_cases(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    shape = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    valid = torch.rand(shape, generator=generator) < 0.8
    valid[:, 0, 0] = True
    correct = torch.rand(shape, generator=generator) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    span = torch.randn(shape, generator=generator, dtype=torch.float64)
    return span, correct, valid, torch.randn(shape[:2], generator=generator, dtype=torch.float64)


@given(span_cases())
def test_the_span_loss_is_minus_log_of_the_probability_of_correct_spans(
    case: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    span, correct, valid, score = case
    span, score = span.clone().requires_grad_(), score.clone().requires_grad_()
    loss_B = span_reader_loss(span, correct, valid, score)
    loss_B.sum().backward()
    assert span.grad is not None
    assert score.grad is not None
    for b in range(span.shape[0]):
        total = right = 0.0
        for k in range(span.shape[1]):
            for s in range(span.shape[2]):
                if valid[b, k, s]:
                    weight = math.exp(span.detach()[b, k, s] + score.detach()[b, k])
                    total += weight
                    right += weight if correct[b, k, s] else 0.0
        assert float(loss_B.detach()[b]) == near(-math.log(right / total) if right else 0.0)
        assert bool(torch.isfinite(span.grad[b]).all())
        assert bool((span.grad[b] != 0).any()) == (0 < right < total * (1 - 1e-12))
        if not right:
            assert bool((score.grad[b] == 0).all())


def test_queries_are_weighted_equally_or_by_their_masks() -> None:
    num_masks = torch.tensor([1, 2, 5])
    assert query_weights(num_masks).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert query_weights(num_masks, by_masks=True).tolist() == pytest.approx([1 / 8, 2 / 8, 5 / 8])


@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.3, 1.0]))
def test_the_early_loss_is_minus_log_of_the_probability_of_passages_with_an_answer(seed: int, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    score = torch.randn(3, 5, generator=generator, dtype=torch.float64).requires_grad_()
    has = torch.rand(3, 5, generator=generator) < share
    loss_B = early_loss(score, has)
    loss_B.sum().backward()
    assert score.grad is not None
    assert bool(torch.isfinite(score.grad).all())
    for b in range(3):
        weights = [math.exp(s) for s in score[b].tolist()]
        right = sum(w for w, h in zip(weights, has[b].tolist(), strict=True) if h)
        assert float(loss_B.detach()[b]) == near(-math.log(right / sum(weights)) if right else 0.0)
        if not right:
            assert bool((score.grad[b] == 0).all())


def test_losses_stay_finite_at_extreme_scores() -> None:
    score = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = early_loss(score, torch.tensor([[False, True]]))
    loss.sum().backward()
    assert loss.tolist() == pytest.approx([2e4])
    assert score.grad is not None
    assert score.grad.tolist() == [[1.0, -1.0]]
