"""Losses of joint pre-training: the paper's marginal, and others from the literature, in the registry `LOSSES`.

Axes: B queries, K candidates, J masked tokens. Everything stays in log space.

The papers below train a reader that reads all K passages at once. Ours reads one at a time, so a form had to be chosen
for the likelihood of "all K". SG is stop-gradient and P the softmax of the scores:

    marginal  -log sum_z p(z|x) p(y|z,x)                                                 Guu et al. 2020, Eq. 1
    emdr2     -log sum_z p(z|x) SG p(y|z,x)  -  log (1/K) sum_z p(y|z,x)                 Singh et al. 2021
    pdist     KL(SG softmax_z log p(y|z,x) || P)               + the reader's share      Izacard et al. 2022 (Atlas)
    loop      KL(SG softmax_z -log p(y|D without z,x) || P)    + the reader's share      Izacard et al. 2022 (Atlas)
    adist     KL(SG softmax_z attention on z || P)             + the reader's share      Izacard and Grave 2021

The reader's share is -log sum_z SG p(z|x) p(y|z,x): the reader learns exactly as from the marginal, so that pdist,
loop and adist differ from it in what the retriever learns from, and in nothing else. EMDR2 is the mirror case: its
retriever's term has the marginal's own gradient, and its reader, as in the paper, does not see the scores.
(With the reader's share in place of its second term, EMDR2's gradient would be the marginal's altogether.)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from openrealm.errors import ShapeMismatch
from openrealm.model.marginal import (
    check_shapes,
    marginal_log_likelihood,
    reading_log_likelihood,
    require_finite,
    retrieval_log_prob,
)
from openrealm.model.reading import Reading


def emdr2_loss(
    score_BK: Tensor,
    gold_logp_BKJ: Tensor,
    mask_BJ: Tensor,
    *,
    valid_BK: Tensor | None = None,
    per_token: bool = False,
) -> Tensor:
    """EMDR2: the retriever by the marginal of a fixed reader, the reader by its own likelihood of all K.

    Singh et al. 2021 (End-to-End Training of Multi-Document Reader and Retriever), the objective of Sec. 2. There
    the reader reads all K without their scores; here its likelihood is the even mixture of its K single readings.

    Arguments and errors as `model.marginal.marginal_log_likelihood`. Returns B losses in nats, both terms together.
    """
    retriever_B = marginal_log_likelihood(
        score_BK, gold_logp_BKJ.detach(), mask_BJ, valid_BK=valid_BK, per_token=per_token
    )
    even_BK = torch.zeros_like(score_BK)
    reader_B = marginal_log_likelihood(even_BK, gold_logp_BKJ, mask_BJ, valid_BK=valid_BK, per_token=per_token)
    return -retriever_B - reader_B


def reader_loss(
    score_BK: Tensor,
    gold_logp_BKJ: Tensor,
    mask_BJ: Tensor,
    *,
    valid_BK: Tensor | None = None,
    per_token: bool = False,
) -> Tensor:
    """The reader's share of the marginal: -log sum_z SG p(z|x) p(y|z,x). The scores get no gradient.

    Arguments and errors as `model.marginal.marginal_log_likelihood`. Returns B losses in nats.
    """
    return -marginal_log_likelihood(score_BK.detach(), gold_logp_BKJ, mask_BJ, valid_BK=valid_BK, per_token=per_token)


def perplexity_distillation_loss(
    score_BK: Tensor,
    gold_logp_BKJ: Tensor,
    mask_BJ: Tensor,
    *,
    valid_BK: Tensor | None = None,
    per_token: bool = False,
) -> Tensor:
    """PDist: the retriever is pulled towards softmax_z log p(y|z,x), the posterior under an even prior.

    Izacard et al. 2022 (Atlas), Sec. 2.2. `per_token=True` takes the mean over the masks for log p(y|z,x), the sum
    otherwise. The reader gets no gradient.

    Arguments and errors as `model.marginal.marginal_log_likelihood`. Returns B divergences in nats, >= 0.
    """
    check_shapes(score_BK, gold_logp_BKJ, mask_BJ, valid_BK)
    read_BK = reading_log_likelihood(gold_logp_BKJ, mask_BJ)
    if per_token:
        read_BK = read_BK / mask_BJ.sum(dim=1, keepdim=True).clamp(min=1)
    return _divergence(read_BK, score_BK, valid_BK)


def leave_one_out_loss(
    score_BK: Tensor,
    gold_logp_BKJ: Tensor,
    mask_BJ: Tensor,
    *,
    valid_BK: Tensor | None = None,
    per_token: bool = False,
) -> Tensor:
    """LOOP: the retriever is pulled towards the passages without which y would be least likely.

    Izacard et al. 2022 (Atlas), Sec. 2.2: p_LOOP(z) is proportional to exp(-log p(y|D without z, x)), and that
    likelihood is here the marginal over the other candidates. Neither it nor the reader gets a gradient. A query
    with one candidate has nothing to learn and gives 0.

    Arguments and errors as `model.marginal.marginal_log_likelihood`. Returns B divergences in nats, >= 0.
    """
    check_shapes(score_BK, gold_logp_BKJ, mask_BJ, valid_BK)
    num_candidates = score_BK.shape[1]
    valid_BK = torch.ones_like(score_BK, dtype=torch.bool) if valid_BK is None else valid_BK
    others_BKK = valid_BK[:, None, :] & ~torch.eye(num_candidates, dtype=torch.bool, device=score_BK.device)
    # Where no other is left the marginal would be of nothing; any finite value serves, since the softmax of one is 1.
    others_BKK = others_BKK | ~others_BKK.any(dim=2, keepdim=True)

    def repeated(tensor: Tensor) -> Tensor:
        return tensor.detach().repeat_interleave(num_candidates, dim=0)

    without_BK = marginal_log_likelihood(
        repeated(score_BK),
        repeated(gold_logp_BKJ),
        repeated(mask_BJ),
        valid_BK=others_BKK.flatten(0, 1),
        per_token=per_token,
    ).view_as(score_BK)
    return _divergence(-without_BK, score_BK, valid_BK)


def attention_distillation_loss(score_BK: Tensor, attention_BK: Tensor, *, valid_BK: Tensor | None = None) -> Tensor:
    """ADist: the retriever is pulled towards the softmax of the attention that the reader pays to each passage.

    Izacard and Grave 2021 (Distilling Knowledge from Reader to Retriever), Sec. 3; Atlas, Sec. 2.2.

    score_BK      inner products, unnormalised, finite
    attention_BK  the reader's attention to each passage as a logit, finite; give the logarithm of a mass of attention
    valid_BK      False where a query has fewer than K candidates
    Returns B divergences in nats, >= 0; the attention gets no gradient. Raises ShapeMismatch, NonFinite.
    """
    if attention_BK.shape != score_BK.shape or (valid_BK is not None and valid_BK.shape != score_BK.shape):
        found = None if valid_BK is None else tuple(valid_BK.shape)
        raise ShapeMismatch(
            f"attention_BK is {tuple(attention_BK.shape)}, score_BK is {tuple(score_BK.shape)}, valid_BK is {found}: "
            "they must agree."
        )
    require_finite(score_BK, "score_BK")
    require_finite(attention_BK, "attention_BK")
    return _divergence(attention_BK, score_BK, valid_BK)


def _divergence(target_logit_BK: Tensor, score_BK: Tensor, valid_BK: Tensor | None) -> Tensor:
    """KL(SG softmax(target) || p(z|x)) over the valid candidates; its gradient in the scores is p - target."""
    target_BK = retrieval_log_prob(target_logit_BK.detach(), valid_BK)
    surplus_BK = target_BK - retrieval_log_prob(score_BK, valid_BK)
    if valid_BK is not None:
        surplus_BK = surplus_BK.masked_fill(~valid_BK, 0.0)
    return (target_BK.exp() * surplus_BK).sum(dim=1)


def marginal(reading: Reading) -> Tensor:
    """The paper's loss, -log p(y|x), B, in nats (Guu et al. 2020, Eq. 1)."""
    return reading.marginal_loss()


def emdr2(reading: Reading) -> Tensor:
    """`emdr2_loss` of a reading, B, in nats."""
    return emdr2_loss(*_parts(reading), valid_BK=reading.valid_BK, per_token=reading.per_token)


def pdist(reading: Reading) -> Tensor:
    """Perplexity distillation with the reader's share, B, in nats."""
    parts = _parts(reading)
    distilled_B = perplexity_distillation_loss(*parts, valid_BK=reading.valid_BK, per_token=reading.per_token)
    return _reader_share(reading) + distilled_B


def loop(reading: Reading) -> Tensor:
    """Leave-one-out distillation with the reader's share, B, in nats."""
    distilled_B = leave_one_out_loss(*_parts(reading), valid_BK=reading.valid_BK, per_token=reading.per_token)
    return _reader_share(reading) + distilled_B


def adist(reading: Reading) -> Tensor:
    """Attention distillation with the reader's share, B, in nats; costs an extra pass of the reader."""
    distilled_B = attention_distillation_loss(reading.score_BK, reading.attention_BK, valid_BK=reading.valid_BK)
    return _reader_share(reading) + distilled_B


def _parts(reading: Reading) -> tuple[Tensor, Tensor, Tensor]:
    return reading.score_BK, reading.gold_logp_BKJ, reading.mask_BJ


def _reader_share(reading: Reading) -> Tensor:
    return reader_loss(*_parts(reading), valid_BK=reading.valid_BK, per_token=reading.per_token)


def sampled_tail_log_weights(log_q: Tensor, count: Tensor, num_draws: int) -> Tensor:
    """log c - log(m q): what to add to the score of a passage that was drawn c times in m draws by probability q.

    The best passages are summed exactly and m draws, with replacement, stand for all the others: sums of exp(score),
    of the denominator of p(z|x) as of the numerator of p(y|x), are then unbiased estimates of the full sums.
    Botev et al. 2017 (Complementary Sum Sampling); importance sampling of a softmax: Bengio and Senecal 2003. The
    logarithm of the quotient of both sums, and its gradient, are biased by O(1/m): docs/results/tail.md measures it.

    log_q  log-probability of each drawn passage, over those that are not summed exactly
    count  how often it was drawn, >= 1, of the same shape
    Returns log-weights in nats, of that shape.
    """
    return count.to(log_q.dtype).log() - log_q - math.log(num_draws)
