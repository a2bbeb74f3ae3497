"""The equations of the papers as pure functions of tensors, independent of encoders, text and files.

Axes: B queries, K candidates, J masked tokens, S answer spans of a passage, E passages of the early loss.
Probabilities never leave log space: a sum over passages is a logsumexp over K.
"""

from __future__ import annotations

import torch
from torch import Tensor

from openrealm.errors import NonFinite, ShapeMismatch


def require_finite(tensor: Tensor, name: str) -> None:
    """Raise NonFinite naming the first row of `tensor`, a query, with a value that is not finite."""
    finite = torch.isfinite(tensor).flatten(1).all(dim=1)
    if not bool(finite.all()):
        bad = int((~finite).nonzero()[0, 0])
        raise NonFinite(f"{name} of query {bad} is not finite; the scores or the reader's output have diverged.")


def check_shapes(score_BK: Tensor, gold_logp_BKJ: Tensor, mask_BJ: Tensor, valid_BK: Tensor | None) -> None:
    """Raise ShapeMismatch if B, K or J differ between the tensors, NonFinite if a value is not finite."""
    num_queries, num_candidates = score_BK.shape
    if gold_logp_BKJ.shape[:2] != (num_queries, num_candidates) or gold_logp_BKJ.ndim != 3:
        raise ShapeMismatch(
            f"gold_logp_BKJ is {tuple(gold_logp_BKJ.shape)}, score_BK is {tuple(score_BK.shape)}: B and K must agree."
        )
    if mask_BJ.shape != (num_queries, gold_logp_BKJ.shape[2]):
        raise ShapeMismatch(
            f"mask_BJ is {tuple(mask_BJ.shape)}, gold_logp_BKJ is {tuple(gold_logp_BKJ.shape)}: B and J must agree."
        )
    if valid_BK is not None and valid_BK.shape != score_BK.shape:
        raise ShapeMismatch(
            f"valid_BK is {tuple(valid_BK.shape)}, score_BK is {tuple(score_BK.shape)}: they must agree."
        )
    require_finite(score_BK, "score_BK")
    require_finite(gold_logp_BKJ, "gold_logp_BKJ")


def retrieval_log_prob(score_BK: Tensor, valid_BK: Tensor | None = None) -> Tensor:
    """log p(z|x) (Guu et al. 2020, Eq. 2), renormalised over the K candidates (Sec. 3.3).

    score_BK  inner products f(x, z), unnormalised
    valid_BK  False where a query has fewer than K candidates
    Returns B x K log-probabilities in nats, -inf where `valid_BK` is False.
    """
    if valid_BK is not None:
        score_BK = score_BK.masked_fill(~valid_BK, -torch.inf)
    return torch.log_softmax(score_BK, dim=1)


def reading_log_likelihood(gold_logp_BKJ: Tensor, mask_BJ: Tensor) -> Tensor:
    """log p(y|z,x) = sum_j log p(y_j|z,x) over the masks of a query (Guu et al. 2020, Sec. 3.2).

    Returns B x K log-probabilities in nats.
    """
    return gold_logp_BKJ.masked_fill(~mask_BJ[:, None, :], 0.0).sum(dim=2)


def marginal_log_likelihood(
    score_BK: Tensor,
    gold_logp_BKJ: Tensor,
    mask_BJ: Tensor,
    *,
    valid_BK: Tensor | None = None,
    per_token: bool = False,
) -> Tensor:
    """log p(y|x): log-probability of the masked tokens, marginalised over the candidates.

    Guu et al. 2020, Eq. 1 and Sec. 3.2. `per_token=True` is the behaviour of the released TensorFlow code, which
    marginalises separately for each masked token and averages over tokens. Both agree for a single mask, and, except
    for the averaging, for a single passage.

    score_BK        inner products, unnormalised, finite
    gold_logp_BKJ   log-probability of each correct token, in nats, <= 0
    mask_BJ         True for masks, False for padding, which is ignored
    valid_BK        False where a query has fewer than K candidates; None if all are valid
    Returns B log-probabilities in nats, 0 for a query without masks.
    Raises ShapeMismatch if B, K or J differ, NonFinite naming the first query with a value that is not finite.
    """
    check_shapes(score_BK, gold_logp_BKJ, mask_BJ, valid_BK)
    logp_BK = retrieval_log_prob(score_BK, valid_BK)
    if per_token:
        token_BJ = torch.logsumexp(logp_BK[:, :, None] + gold_logp_BKJ, dim=1)
        num_real = mask_BJ.sum(dim=1).clamp(min=1)
        return token_BJ.masked_fill(~mask_BJ, 0.0).sum(dim=1) / num_real
    return torch.logsumexp(logp_BK + reading_log_likelihood(gold_logp_BKJ, mask_BJ), dim=1)


def with_unread(
    score_BK: Tensor, gold_logp_BKJ: Tensor, valid_BK: Tensor, unread_score_BU: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, log-probabilities and validity of the candidates and of U others that were not read.

    An unread passage is taken to be of as little help as the null passage, in column 0: its log-probabilities are the
    null passage's, without gradient. So the sums over passages cover more of the corpus at no cost to the reader.

    unread_score_BU  inner products, -inf where a query has no such candidate
    Returns B x (K + U), B x (K + U) x J and B x (K + U) tensors.
    """
    is_there_BU = unread_score_BU > -torch.inf
    null_logp_BUJ = gold_logp_BKJ[:, :1].detach().expand(-1, unread_score_BU.shape[1], -1)
    return (
        torch.cat([score_BK, unread_score_BU.masked_fill(~is_there_BU, 0.0)], dim=1),
        torch.cat([gold_logp_BKJ, null_logp_BUJ], dim=1),
        torch.cat([valid_BK, is_there_BU], dim=1),
    )


def query_weights(num_masks_B: Tensor, *, by_masks: bool = False) -> Tensor:
    """Weights of the queries in the loss of a batch, shape (B,), which sum to 1.

    All queries have the same weight, as in Guu et al. 2020, Sec. 3.1; with `by_masks` a query's weight is proportional
    to its number of masks, as in the released code.
    """
    weight_B = num_masks_B.float() if by_masks else torch.ones_like(num_masks_B, dtype=torch.float32)
    return weight_B / weight_B.sum()


def passage_posterior(
    score_BK: Tensor, gold_logp_BKJ: Tensor, mask_BJ: Tensor, valid_BK: Tensor | None = None
) -> Tensor:
    """p(z|x,y), the posterior of the candidates given the answer (Guu et al. 2020, Sec. 3.3).

    Arguments and errors as in `marginal_log_likelihood`. Returns B x K probabilities.
    """
    check_shapes(score_BK, gold_logp_BKJ, mask_BJ, valid_BK)
    logp_BK = retrieval_log_prob(score_BK, valid_BK) + reading_log_likelihood(gold_logp_BKJ, mask_BJ)
    return torch.softmax(logp_BK, dim=1)


def retriever_signal(
    score_BK: Tensor, gold_logp_BKJ: Tensor, mask_BJ: Tensor, valid_BK: Tensor | None = None
) -> Tensor:
    """r(z) = p(z|x,y) - p(z|x): the gradient of log p(y|x) with respect to f(x,z).

    Guu et al. 2020, Sec. 3.3: positive if and only if z predicts y better than expected under p(z|x).
    Arguments and errors as in `marginal_log_likelihood`. Returns B x K values; each row sums to 0.
    """
    return passage_posterior(score_BK, gold_logp_BKJ, mask_BJ, valid_BK) - retrieval_log_prob(score_BK, valid_BK).exp()


def utility_BK(gold_logp_BKJ: Tensor, mask_BJ: Tensor) -> Tensor:
    """Retrieval utility RU(z|x) = log p(y|z,x) - log p(y|null,x) (Guu et al. 2020, Sec. 4.4).

    Column 0 must be the null passage. Returns B x K values in nats, 0 in column 0.
    """
    read_BK = reading_log_likelihood(gold_logp_BKJ, mask_BJ)
    return read_BK - read_BK[:, :1]


def expected_utility(
    score_BK: Tensor, gold_logp_BKJ: Tensor, mask_BJ: Tensor, valid_BK: Tensor | None = None
) -> Tensor:
    """Expectation of the retrieval utility under p(z|x), renormalised over all candidates but the null passage.

    Column 0 must be the null passage, whose utility is 0 by definition. Returns B utilities in nats, 0 for a query
    without other candidates.
    """
    real_BK = torch.ones_like(score_BK, dtype=torch.bool) if valid_BK is None else valid_BK.clone()
    real_BK[:, 0] = False
    weight_BK = torch.softmax(score_BK.masked_fill(~real_BK, -torch.inf), dim=1).nan_to_num(0.0)
    return (weight_BK * utility_BK(gold_logp_BKJ, mask_BJ).masked_fill(~real_BK, 0.0)).sum(dim=1)


def span_reader_loss(span_score_BKS: Tensor, correct_BKS: Tensor, valid_BKS: Tensor, score_BK: Tensor) -> Tensor:
    """L_reader: -log of the probability of all correct spans among the spans of the passages read.

    Lee et al. 2019 (ORQA), Sec. 4; Guu et al. 2020, Sec. 3.2. A span's logit is g(s) + f(x, z_s).

    span_score_BKS  g(s), the scores of spans
    correct_BKS     True for spans that equal an answer
    valid_BKS       False for padding
    score_BK        f(x, z) of the passages read
    Returns B losses in nats, 0 for a query without a correct span.
    """
    logit_BKS = span_score_BKS + score_BK[:, :, None]
    total_B = logit_BKS.masked_fill(~valid_BKS, -torch.inf).flatten(1).logsumexp(dim=1)
    positive_BKS = correct_BKS & valid_BKS
    has_positive_B = positive_BKS.flatten(1).any(dim=1)
    # Without a positive the sum would be empty and its gradient NaN: all spans are used instead, and the loss set to 0.
    summed_BKS = positive_BKS | ~has_positive_B[:, None, None]
    correct_B = logit_BKS.masked_fill(~(summed_BKS & valid_BKS), -torch.inf).flatten(1).logsumexp(dim=1)
    return torch.where(has_positive_B, total_B - correct_B, torch.zeros_like(total_B))


def early_loss(score_BE: Tensor, has_answer_BE: Tensor) -> Tensor:
    """L_early: -log of the retrieval probability of all passages that contain an answer among the top E.

    Lee et al. 2019 (ORQA), Sec. 6: p(z|x) is renormalised over the E (5,000) best passages.

    score_BE       f(x, z)
    has_answer_BE  True for passages that contain an answer
    Returns B losses in nats, 0 for a query without such a passage.
    """
    has_positive_B = has_answer_BE.any(dim=1)
    positive_BE = has_answer_BE | ~has_positive_B[:, None]
    positive_B = score_BE.masked_fill(~positive_BE, -torch.inf).logsumexp(dim=1)
    return torch.where(has_positive_B, score_BE.logsumexp(dim=1) - positive_B, torch.zeros_like(positive_B))
