"""Alternative losses compared with loops over probabilities in float64, and their gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from openrealm.errors import NonFinite, ShapeMismatch
from openrealm.model.losses import (
    attention_distillation_loss,
    emdr2_loss,
    leave_one_out_loss,
    perplexity_distillation_loss,
    reader_loss,
    sampled_tail_log_weights,
)
from openrealm.model.marginal import marginal_log_likelihood
from openrealm.model.reading import Reading
from openrealm.registry import LOSSES

Loss = Callable[..., Tensor]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small matrices only."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass
class Case:
    """One batch; the first candidate is always valid, the first mask always real."""

    score_BK: Tensor
    gold_logp_BKJ: Tensor
    mask_BJ: Tensor
    valid_BK: Tensor
    attention_BK: Tensor
    per_token: bool

    def value(self, loss: Loss, score_BK: Tensor | None = None, gold_logp_BKJ: Tensor | None = None) -> Tensor:
        score_BK = self.score_BK if score_BK is None else score_BK
        if loss is attention_distillation_loss:
            return loss(score_BK, self.attention_BK, valid_BK=self.valid_BK)
        gold_logp_BKJ = self.gold_logp_BKJ if gold_logp_BKJ is None else gold_logp_BKJ
        return loss(score_BK, gold_logp_BKJ, self.mask_BJ, valid_BK=self.valid_BK, per_token=self.per_token)

    def gradients(self, loss: Loss) -> tuple[Tensor, Tensor]:
        """Gradients of the summed loss with respect to scores and log-probabilities; 0 if there is none."""
        score_BK, gold_BKJ = self.score_BK.clone().requires_grad_(), self.gold_logp_BKJ.clone().requires_grad_()
        total = self.value(loss, score_BK, gold_BKJ).sum()
        if total.requires_grad:
            total.backward()  # type: ignore[no-untyped-call]
        return tuple(torch.zeros_like(t) if t.grad is None else t.grad for t in (score_BK, gold_BKJ))  # type: ignore[return-value]


@st.composite
def cases(draw: st.DrawFn, min_candidates: int = 1) -> Case:
    num_queries, num_candidates = draw(st.integers(1, 3)), draw(st.integers(min_candidates, 4))
    num_masks = draw(st.integers(1, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scale = draw(st.sampled_from([0.1, 1.0, 5.0]))

    def normal(*shape: int) -> Tensor:
        return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)

    mask_BJ = torch.rand(num_queries, num_masks, generator=generator) < 0.7
    mask_BJ[:, 0] = True
    valid_BK = torch.rand(num_queries, num_candidates, generator=generator) < 0.8
    valid_BK[:, :min_candidates] = True
    return Case(
        normal(num_queries, num_candidates),
        -normal(num_queries, num_candidates, num_masks).abs(),
        mask_BJ,
        valid_BK,
        normal(num_queries, num_candidates),
        draw(st.booleans()),
    )


def slow_readings(case: Case, b: int) -> dict[int, list[float]]:
    """p(y_j|z,x) of each real mask, by valid candidate."""
    masks = case.mask_BJ[b].nonzero()[:, 0].tolist()
    valid = case.valid_BK[b].nonzero()[:, 0].tolist()
    return {k: [math.exp(case.gold_logp_BKJ[b, k, j]) for j in masks] for k in valid}


def slow_prior(case: Case, b: int, among: list[int]) -> dict[int, float]:
    weights = {k: math.exp(case.score_BK[b, k]) for k in among}
    return {k: weight / sum(weights.values()) for k, weight in weights.items()}


def slow_mixture(case: Case, weights: dict[int, float], readings: dict[int, list[float]]) -> float:
    """log sum_k w_k prod_j p_kj, or with per_token the mean over j of log sum_k w_k p_kj."""
    if case.per_token:
        num_masks = len(next(iter(readings.values())))
        sums = [sum(w * readings[k][j] for k, w in weights.items()) for j in range(num_masks)]
        return sum(map(math.log, sums)) / num_masks
    return math.log(sum(w * math.prod(readings[k]) for k, w in weights.items()))


def slow_divergence(target: dict[int, float], prior: dict[int, float]) -> float:
    """KL(target || prior) for an unnormalised target, which comes first as in Atlas."""
    total = sum(target.values())
    return sum(t / total * math.log(t / total / prior[k]) for k, t in target.items())


def slow_emdr2(case: Case, b: int) -> float:
    readings = slow_readings(case, b)
    even = dict.fromkeys(readings, 1 / len(readings))
    return -slow_mixture(case, slow_prior(case, b, list(readings)), readings) - slow_mixture(case, even, readings)


def slow_reader(case: Case, b: int) -> float:
    readings = slow_readings(case, b)
    return -slow_mixture(case, slow_prior(case, b, list(readings)), readings)


def slow_pdist(case: Case, b: int) -> float:
    readings = slow_readings(case, b)
    target = {k: math.prod(ps) ** (1 / len(ps) if case.per_token else 1) for k, ps in readings.items()}
    return slow_divergence(target, slow_prior(case, b, list(readings)))


def slow_loop(case: Case, b: int) -> float:
    readings = slow_readings(case, b)
    if len(readings) == 1:
        return 0.0
    target = {}
    for k in readings:
        others = [other for other in readings if other != k]
        target[k] = math.exp(-slow_mixture(case, slow_prior(case, b, others), readings))
    return slow_divergence(target, slow_prior(case, b, list(readings)))


def slow_adist(case: Case, b: int) -> float:
    valid = case.valid_BK[b].nonzero()[:, 0].tolist()
    return slow_divergence({k: math.exp(case.attention_BK[b, k]) for k in valid}, slow_prior(case, b, valid))


SLOW: dict[Loss, Callable[[Case, int], float]] = {
    emdr2_loss: slow_emdr2,
    reader_loss: slow_reader,
    perplexity_distillation_loss: slow_pdist,
    leave_one_out_loss: slow_loop,
    attention_distillation_loss: slow_adist,
}
DISTILLING = (perplexity_distillation_loss, leave_one_out_loss, attention_distillation_loss)


@pytest.mark.parametrize("loss", SLOW)
@settings(max_examples=30)
@given(case=cases())
def test_every_loss_agrees_with_sums_over_probabilities(loss: Loss, case: Case) -> None:
    value_B = case.value(loss)
    for b in range(len(value_B)):
        assert float(value_B[b]) == pytest.approx(SLOW[loss](case, b), rel=1e-9, abs=1e-12)


def differences(function: Callable[[Tensor], Tensor], at: Tensor, step: float = 1e-5) -> Tensor:
    """Central differences of a scalar function, entry by entry."""
    out = torch.zeros_like(at)
    for index in range(at.numel()):
        up, down = at.clone(), at.clone()
        up.view(-1)[index] += step
        down.view(-1)[index] -= step
        out.view(-1)[index] = (function(up) - function(down)) / (2 * step)
    return out


def marginal_loss(*parts: Tensor, **options: object) -> Tensor:
    return -marginal_log_likelihood(*parts, **options)  # type: ignore[arg-type]


@settings(max_examples=20)
@given(cases())
def test_emdr2_trains_the_retriever_by_the_marginal_and_the_reader_by_the_uniform_mixture(case: Case) -> None:
    score_grad, gold_grad = case.gradients(emdr2_loss)
    torch.testing.assert_close(score_grad, case.gradients(marginal_loss)[0], rtol=1e-9, atol=1e-12)

    def even(gold_BKJ: Tensor) -> Tensor:
        return case.value(marginal_loss, torch.zeros_like(case.score_BK), gold_BKJ).sum()

    torch.testing.assert_close(gold_grad, differences(even, case.gold_logp_BKJ), rtol=1e-6, atol=1e-6)


@given(cases())
def test_the_reader_loss_has_the_readers_gradient_of_the_marginal_and_none_for_the_retriever(case: Case) -> None:
    score_grad, gold_grad = case.gradients(reader_loss)
    assert not score_grad.any()
    torch.testing.assert_close(gold_grad, case.gradients(marginal_loss)[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("loss", DISTILLING)
@settings(max_examples=20)
@given(case=cases(min_candidates=2))
def test_distillation_trains_only_the_retriever_and_its_target_is_constant(loss: Loss, case: Case) -> None:
    score_grad, gold_grad = case.gradients(loss)
    assert not gold_grad.any()
    for b in range(len(case.score_BK)):
        valid = case.valid_BK[b].nonzero()[:, 0].tolist()
        prior = slow_prior(case, b, valid)
        # d KL(t || p) / ds = p - t, from which t can be recovered.
        target = {k: prior[k] - float(score_grad[b, k]) for k in valid}
        assert sum(target.values()) == pytest.approx(1)
        assert slow_divergence({k: max(t, 1e-300) for k, t in target.items()}, prior) == pytest.approx(
            SLOW[loss](case, b), rel=1e-6, abs=1e-9
        )
        assert not score_grad[b][~case.valid_BK[b]].any()


def test_the_attention_gets_no_gradient() -> None:
    attention_BK = torch.randn(2, 3, requires_grad=True)
    score_BK = torch.randn(2, 3, requires_grad=True)
    attention_distillation_loss(score_BK, attention_BK).sum().backward()  # type: ignore[no-untyped-call]
    assert attention_BK.grad is None
    assert score_BK.grad is not None


def worked(loss: Loss) -> list[float]:
    """-d loss / d score at equal scores, if passage 1 gives the masked token 0.8 and the others give it 0.1."""
    score_BK = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    gold_BKJ = torch.tensor([[[0.1], [0.8], [0.1]]], dtype=torch.float64).log()
    loss(score_BK, gold_BKJ, torch.ones(1, 1, dtype=torch.bool)).sum().backward()  # type: ignore[no-untyped-call]
    assert score_BK.grad is not None
    return (-score_BK.grad[0]).tolist()


def test_every_loss_raises_the_score_of_the_passage_with_the_answer() -> None:
    third = 1 / 3
    # The posterior is 0.1 : 0.8 : 0.1. The likelihood is 0.1 without passage 1, and 0.45 without another one.
    assert worked(perplexity_distillation_loss) == pytest.approx([0.1 - third, 0.8 - third, 0.1 - third])
    weights = [1 / 0.45, 1 / 0.1, 1 / 0.45]
    assert worked(leave_one_out_loss) == pytest.approx([w / sum(weights) - third for w in weights])
    assert worked(emdr2_loss) == pytest.approx([0.1 - third, 0.8 - third, 0.1 - third])


@given(cases())
def test_registered_losses_are_the_sums_of_their_parts(case: Case) -> None:
    def whole(name: str) -> Tensor:
        loss_B: Tensor = LOSSES.get(name)(
            Reading(
                score_BK=case.score_BK,
                gold_logp_BKJ=case.gold_logp_BKJ,
                mask_BJ=case.mask_BJ,
                valid_BK=torch.ones_like(case.score_BK, dtype=torch.bool) if case.valid_BK is None else case.valid_BK,
                per_token=case.per_token,
                attend=lambda: case.attention_BK,
            )
        )
        return loss_B

    reader_B = case.value(reader_loss)
    for name, expected_B in (
        ("marginal", case.value(marginal_loss)),
        ("emdr2", case.value(emdr2_loss)),
        ("pdist", reader_B + case.value(perplexity_distillation_loss)),
        ("loop", reader_B + case.value(leave_one_out_loss)),
        ("adist", reader_B + case.value(attention_distillation_loss)),
    ):
        torch.testing.assert_close(whole(name), expected_B, rtol=0, atol=0)


@pytest.mark.parametrize("loss", SLOW)
@settings(max_examples=20)
@given(case=cases(), filler=st.floats(-50, 0))
def test_padding_of_masks_and_candidates_changes_nothing(loss: Loss, case: Case, filler: float) -> None:
    def wider(tensor: Tensor, *pads: int) -> Tensor:
        return torch.nn.functional.pad(tensor, pads, value=filler)

    padded = Case(
        wider(case.score_BK, 0, 2),
        wider(case.gold_logp_BKJ, 0, 1, 0, 2),
        torch.nn.functional.pad(case.mask_BJ, (0, 1), value=False),
        torch.nn.functional.pad(case.valid_BK, (0, 2), value=False),
        wider(case.attention_BK, 0, 2),
        case.per_token,
    )
    torch.testing.assert_close(padded.value(loss), case.value(loss), rtol=1e-12, atol=1e-12)
    for wide, narrow in zip(padded.gradients(loss), case.gradients(loss), strict=True):
        assert bool(wide.isfinite().all())
        kept = wide[:, :-2] if wide.ndim == 2 else wide[:, :-2, :-1]
        torch.testing.assert_close(kept, narrow, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("loss", SLOW)
def test_scores_of_ten_thousand_stay_finite_in_float32_with_their_gradients(loss: Loss) -> None:
    score_BK = torch.tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]])
    gold_BKJ = torch.tensor([[[-1e4, -1.0]] * 3, [[-2.0, -3.0]] * 3])
    ones = torch.ones(2, 2, dtype=torch.bool), torch.ones(2, 3, dtype=torch.bool)
    case = Case(score_BK, gold_BKJ, *ones, torch.tensor([[0.0, 1e4, -1e4], [0.0, 0.0, 0.0]]), False)
    assert bool(case.value(loss).isfinite().all())
    assert all(bool(grad.isfinite().all()) for grad in case.gradients(loss))


@pytest.mark.parametrize("loss", [loss for loss in SLOW if loss is not attention_distillation_loss])
def test_mismatched_tensors_are_refused_as_by_the_marginal(loss: Loss) -> None:
    score_BK, gold_BKJ, mask_BJ = torch.zeros(3, 2), torch.zeros(3, 2, 2), torch.ones(3, 2, dtype=torch.bool)
    with pytest.raises(ShapeMismatch, match=r"^gold_logp_BKJ is .* must agree"):
        loss(score_BK, gold_BKJ[:, :1], mask_BJ)
    gold_BKJ[2, 1, 0] = math.nan
    with pytest.raises(NonFinite, match="gold_logp_BKJ of query 2"):
        loss(score_BK, gold_BKJ, mask_BJ)


def test_attention_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeMismatch, match=r"^attention_BK is \(2, 2\), score_BK is \(2, 3\)"):
        attention_distillation_loss(torch.zeros(2, 3), torch.zeros(2, 2))
    with pytest.raises(NonFinite, match="attention_BK of query 1"):
        attention_distillation_loss(torch.zeros(2, 1), torch.tensor([[0.0], [-math.inf]]))


def test_the_log_weights_of_the_tail_are_log_c_over_m_q() -> None:
    # Drawn once and three times in 8 draws, with probability 0.25 and 0.5: c / (m q).
    weights = sampled_tail_log_weights(torch.tensor([0.25, 0.5]).log(), torch.tensor([1, 3]), 8).exp()
    assert weights.tolist() == pytest.approx([0.5, 0.75])


@pytest.mark.parametrize("num_draws", [1, 2, 3])
def test_sums_with_a_sampled_tail_are_unbiased(num_draws: int) -> None:
    """The mean over all sequences of draws, weighted by their probability, is exact."""
    rng = np.random.default_rng(5)
    score_N, read_N = torch.tensor(rng.normal(size=(2, 7)))
    top, tail = [0, 3], [1, 2, 4, 5, 6]
    q = torch.softmax(torch.tensor(rng.normal(size=len(tail))), dim=0)
    sums = torch.zeros(2, dtype=torch.float64)
    for draws in np.ndindex(*[len(tail)] * num_draws):
        drawn, count = torch.tensor(draws).unique(return_counts=True)
        log_weight = sampled_tail_log_weights(q[drawn].log(), count, num_draws)
        read_by = [*top, *(tail[i] for i in drawn.tolist())]
        score = score_N[read_by] + torch.cat([torch.zeros(len(top), dtype=torch.float64), log_weight])
        both = torch.stack([score.exp().sum(), (score + read_N[read_by]).exp().sum()])
        sums += q[list(draws)].prod() * both
    full = torch.stack([score_N.exp().sum(), (score_N + read_N).exp().sum()])
    torch.testing.assert_close(sums, full, rtol=1e-12, atol=1e-12)
