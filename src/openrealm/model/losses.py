"""Losses of joint pre-training in the registry `LOSSES`: the paper's marginal, and others from the literature.

Axes: B queries, K candidates, J masked tokens. All computations are in log space.

The papers below train a reader that attends to all K passages at once. Ours reads one passage at a time, so the
likelihood given "all K" is a mixture. SG is stop-gradient and P the softmax of the scores:

    marginal  -log sum_z p(z|x) p(y|z,x)                                                 Guu et al. 2020, Eq. 1
    emdr2     -log sum_z p(z|x) SG p(y|z,x)  -  log (1/K) sum_z p(y|z,x)                 Singh et al. 2021
    pdist     KL(SG softmax_z log p(y|z,x) || P)               + reader loss             Izacard et al. 2022 (Atlas)
    loop      KL(SG softmax_z -log p(y|D without z,x) || P)    + reader loss             Izacard et al. 2022 (Atlas)
    adist     KL(SG softmax_z attention to z || P)             + reader loss             Izacard and Grave 2021

The reader loss is -log sum_z SG p(z|x) p(y|z,x): the reader gets the same gradient as from the marginal, so that pdist,
loop and adist differ from the marginal only in the gradient of the retriever. EMDR2 is the opposite: its first term
gives the retriever the gradient of the marginal, and its reader, as in the paper, does not use the scores. (With the
reader loss as second term, the gradient of EMDR2 would be exactly that of the marginal.)
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
    """EMDR2: a marginal with fixed reader for the retriever, plus a likelihood given all K passages for the reader.

    Singh et al. 2021 (End-to-End Training of Multi-Document Reader and Retriever), Sec. 2. There the reader attends to
    all K passages without their scores; here its likelihood is the uniform mixture over the K passages.

    Arguments and errors as in `model.marginal.marginal_log_likelihood`. Returns B losses in nats (both terms).
    """
    retriever_B = marginal_log_likelihood(
        score_BK, gold_logp_BKJ.detach(), mask_BJ, valid_BK=valid_BK, per_token=per_token
    )
    uniform_BK = torch.zeros_like(score_BK)
    reader_B = marginal_log_likelihood(uniform_BK, gold_logp_BKJ, mask_BJ, valid_BK=valid_BK, per_token=per_token)
    return -retriever_B - reader_B


def reader_loss(
    score_BK: Tensor,
    gold_logp_BKJ: Tensor,
    mask_BJ: Tensor,
    *,
    valid_BK: Tensor | None = None,
    per_token: bool = False,
) -> Tensor:
    """-log sum_z SG p(z|x) p(y|z,x): the marginal without gradient for the retriever.

    Arguments and errors as in `model.marginal.marginal_log_likelihood`. Returns B losses in nats.
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
    """PDist: distils softmax_z log p(y|z,x), the posterior under a uniform prior, into the retriever.

    Izacard et al. 2022 (Atlas), Sec. 2.2. log p(y|z,x) is the sum over masks, or their mean with `per_token=True`. The
    reader gets no gradient.

    Arguments and errors as in `model.marginal.marginal_log_likelihood`. Returns B divergences in nats, >= 0.
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
    """LOOP: distils into the retriever how much less likely y is without each passage.

    Izacard et al. 2022 (Atlas), Sec. 2.2: p_LOOP(z) is proportional to exp(-log p(y|D without z, x)); here that
    likelihood is the marginal over the other candidates. Neither it nor the reader gets a gradient. The loss of a query
    with a single candidate is 0.

    Arguments and errors as in `model.marginal.marginal_log_likelihood`. Returns B divergences in nats, >= 0.
    """
    check_shapes(score_BK, gold_logp_BKJ, mask_BJ, valid_BK)
    num_candidates = score_BK.shape[1]
    valid_BK = torch.ones_like(score_BK, dtype=torch.bool) if valid_BK is None else valid_BK
    others_BKK = valid_BK[:, None, :] & ~torch.eye(num_candidates, dtype=torch.bool, device=score_BK.device)
    # Without other candidates the marginal is undefined; any finite value will do, since the softmax of one value is 1.
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
    """ADist: distils the softmax of the reader's attention to each passage into the retriever.

    Izacard and Grave 2021 (Distilling Knowledge from Reader to Retriever), Sec. 3; Atlas, Sec. 2.2.

    score_BK      inner products, unnormalised, finite
    attention_BK  the reader's attention to each passage as a finite logit, such as the logarithm of its share
    valid_BK      False where a query has fewer than K candidates
    Returns B divergences in nats, >= 0; the attention gets no gradient. Raises ShapeMismatch, NonFinite.
    """
    if attention_BK.shape != score_BK.shape or (valid_BK is not None and valid_BK.shape != score_BK.shape):
        found = None if valid_BK is None else tuple(valid_BK.shape)
        raise ShapeMismatch(
            f"attention_BK is {tuple(attention_BK.shape)}, score_BK is {tuple(score_BK.shape)}, valid_BK is {found}: "
            "their shapes must agree."
        )
    require_finite(score_BK, "score_BK")
    require_finite(attention_BK, "attention_BK")
    return _divergence(attention_BK, score_BK, valid_BK)


def _divergence(target_logit_BK: Tensor, score_BK: Tensor, valid_BK: Tensor | None) -> Tensor:
    """KL(SG softmax(target) || p(z|x)) over the valid candidates; its gradient in the scores is p - target."""
    target_BK = retrieval_log_prob(target_logit_BK.detach(), valid_BK)
    log_ratio_BK = target_BK - retrieval_log_prob(score_BK, valid_BK)
    if valid_BK is not None:
        log_ratio_BK = log_ratio_BK.masked_fill(~valid_BK, 0.0)
    return (target_BK.exp() * log_ratio_BK).sum(dim=1)


def marginal(reading: Reading) -> Tensor:
    """The paper's loss -log p(y|x), shape (B,), in nats (Guu et al. 2020, Eq. 1)."""
    return reading.marginal_loss()


def emdr2(reading: Reading) -> Tensor:
    """`emdr2_loss` of a reading, shape (B,), in nats."""
    return emdr2_loss(*_parts(reading), valid_BK=reading.valid_BK, per_token=reading.per_token)


def pdist(reading: Reading) -> Tensor:
    """Perplexity distillation plus reader loss, shape (B,), in nats."""
    parts = _parts(reading)
    distilled_B = perplexity_distillation_loss(*parts, valid_BK=reading.valid_BK, per_token=reading.per_token)
    return _reader_loss_of(reading) + distilled_B


def loop(reading: Reading) -> Tensor:
    """Leave-one-out distillation plus reader loss, shape (B,), in nats."""
    distilled_B = leave_one_out_loss(*_parts(reading), valid_BK=reading.valid_BK, per_token=reading.per_token)
    return _reader_loss_of(reading) + distilled_B


def adist(reading: Reading) -> Tensor:
    """Attention distillation plus reader loss, shape (B,), in nats; needs an extra forward pass of the reader."""
    distilled_B = attention_distillation_loss(reading.score_BK, reading.attention_BK, valid_BK=reading.valid_BK)
    return _reader_loss_of(reading) + distilled_B


def _parts(reading: Reading) -> tuple[Tensor, Tensor, Tensor]:
    return reading.score_BK, reading.gold_logp_BKJ, reading.mask_BJ


def _reader_loss_of(reading: Reading) -> Tensor:
    return reader_loss(*_parts(reading), valid_BK=reading.valid_BK, per_token=reading.per_token)


def sampled_tail_log_weights(log_q: Tensor, count: Tensor, num_draws: int) -> Tensor:
    """log c - log(m q): the log-weight of a passage that was drawn c times in m draws with probability q.

    The best passages are summed exactly, and m draws with replacement represent all others. With these log-weights
    added to the scores, the sums in the denominator of p(z|x) and the numerator of p(y|x) are unbiased estimates of the
    full sums (Botev et al. 2017, Complementary Sum Sampling; for importance sampling of a softmax, Bengio and Senecal
    2003). The logarithm of their quotient, and its gradient, have a bias of O(1/m), measured in docs/results/tail.md.

    log_q      log-probability of each passage drawn, among those that are not summed exactly
    count      how often it was drawn, >= 1, same shape
    num_draws  number of draws m
    Returns log-weights in nats, same shape.
    """
    return count.to(log_q.dtype).log() - log_q - math.log(num_draws)
