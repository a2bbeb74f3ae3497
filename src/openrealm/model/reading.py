"""The joint model's inputs and outputs: scores and log-probabilities of masked queries and their candidates.

Axes: B queries, K candidates (column 0 is the null passage if it is used), J masked tokens, U distinct passages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from openrealm.model import marginal
from openrealm.model.attention import passage_attention
from openrealm.model.reader import Reader
from openrealm.model.retriever import Retriever
from openrealm.text.pack import Row


@dataclass(frozen=True, kw_only=True)
class JointInputs:
    """Encoder inputs of B queries with up to K candidates each.

    query_rows     B rows `[CLS] x [SEP]`
    passage_rows   U rows `[CLS] title [SEP] body [SEP]`, each distinct candidate once
    place_BK       index of a candidate in `passage_rows`; arbitrary where `valid_BK` is False
    valid_BK       False where a query has fewer than K candidates
    joint_rows     one row `[CLS] x [SEP] body [SEP]` for each valid candidate, query after query
    positions      per query, the positions of its masks in its joint rows
    gold           per query, the correct token ids at these positions
    log_weight_BK  log-weights of sampled candidates (see `losses.sampled_tail_log_weights`); None if none was sampled
    per_token      marginalise over passages separately for each masked token, as in the released code
    has_null       whether column 0 is the null passage
    candidates     per query, the passage numbers of its candidates, if known; copied to the `Reading`
    unread_BU      which of `passage_rows` count as further candidates that are not read, see `Reading`; None: none
    """

    query_rows: Sequence[Row]
    passage_rows: Sequence[Row]
    place_BK: Tensor
    valid_BK: Tensor
    joint_rows: Sequence[Row]
    positions: Sequence[Sequence[int]]
    gold: Sequence[Sequence[int]]
    log_weight_BK: Tensor | None = None
    per_token: bool = False
    has_null: bool = True
    candidates: Sequence[Sequence[int]] = ()
    unread_BU: Tensor | None = None

    @property
    def num_tokens(self) -> int:
        """Number of word pieces read by towers and reader."""
        return sum(len(row) for rows in (self.query_rows, self.passage_rows, self.joint_rows) for row in rows)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Output of `Realm.forward`: scores and log-probabilities of the candidates. Losses are functions of it.

    score_BK       f(x,z), unnormalised; includes the log-weights of sampled candidates, so that sums over K estimate
                   sums over the whole corpus
    gold_logp_BKJ  log p(y_j|z,x) of each correct token, in nats
    mask_BJ        True for masks, False for padding
    valid_BK       False where a query has fewer than K candidates
    log_weight_BK  the log-weights by themselves; None if no candidate was sampled
    per_token      whether to marginalise separately for each masked token (released code) or for the query (paper)
    has_null       whether column 0 is the null passage
    candidates     per query, the numbers of the passages read, if known
    unread_score_BU  scores of further candidates, the passages of the batch's other queries, which are not read and
                   taken to be of as little help as the null passage; -inf where there is none. Only the marginal counts
                   them. None: none
    attend         computes `attention_BK` by an extra forward pass of the reader

    Methods return one value per query or candidate and are differentiable:

    >>> import torch
    >>> reading = Reading(
    ...     score_BK=torch.tensor([[0.0, 0.0]]),
    ...     gold_logp_BKJ=torch.tensor([[[-2.0], [-1.0]]]),
    ...     mask_BJ=torch.tensor([[True]]),
    ...     valid_BK=torch.tensor([[True, True]]),
    ... )
    >>> round(reading.marginal_loss().item(), 4)  # -log(0.5 e^-2 + 0.5 e^-1)
    1.3799
    >>> reading.utility_BK().tolist()
    [[0.0, 1.0]]
    """

    score_BK: Tensor
    gold_logp_BKJ: Tensor
    mask_BJ: Tensor
    valid_BK: Tensor
    log_weight_BK: Tensor | None = None
    per_token: bool = False
    has_null: bool = True
    candidates: Sequence[Sequence[int]] = ()
    unread_score_BU: Tensor | None = None
    attend: Callable[[], Tensor] | None = field(default=None, repr=False, compare=False)

    def marginal_log_likelihood(self) -> Tensor:
        """log p(y|x), marginalised over the candidates, shape (B,), in nats (Guu et al. 2020, Eq. 1)."""
        score_BK, gold_logp_BKJ, valid_BK = self.score_BK, self.gold_logp_BKJ, self.valid_BK
        if self.unread_score_BU is not None:
            score_BK, gold_logp_BKJ, valid_BK = marginal.with_unread(
                score_BK, gold_logp_BKJ, valid_BK, self.unread_score_BU
            )
        return marginal.marginal_log_likelihood(
            score_BK, gold_logp_BKJ, self.mask_BJ, valid_BK=valid_BK, per_token=self.per_token
        )

    def marginal_loss(self) -> Tensor:
        """The loss of the paper, -log p(y|x), shape (B,), in nats."""
        return -self.marginal_log_likelihood()

    def retrieval_log_prob(self) -> Tensor:
        """log p(z|x) of the candidates, B x K, in nats, -inf where there is none (Guu et al. 2020, Eq. 2)."""
        return marginal.retrieval_log_prob(self.score_BK, self.valid_BK)

    def posterior(self) -> Tensor:
        """p(z|x,y), the posterior of the candidates given the answer, B x K (Guu et al. 2020, Sec. 3.3)."""
        return marginal.passage_posterior(self.score_BK, self.gold_logp_BKJ, self.mask_BJ, self.valid_BK)

    def entropy(self) -> Tensor:
        """Entropy of p(z|x), shape (B,), in nats; 0 if one candidate has all of the probability."""
        logp_BK = self.retrieval_log_prob()
        # A weighted candidate represents several passages, each as likely as the candidate without its weight.
        each_BK = logp_BK if self.log_weight_BK is None else logp_BK - self.log_weight_BK
        return -(logp_BK.exp() * each_BK.masked_fill(~self.valid_BK, 0.0)).sum(dim=1)

    def utility_BK(self) -> Tensor:
        """Retrieval utility of each candidate, B x K, in nats; requires the null passage in column 0."""
        return marginal.utility_BK(self.gold_logp_BKJ, self.mask_BJ)

    def expected_utility(self) -> Tensor:
        """Expected retrieval utility, shape (B,), in nats; requires the null passage in column 0."""
        return marginal.expected_utility(self.score_BK, self.gold_logp_BKJ, self.mask_BJ, self.valid_BK)

    @cached_property
    def attention_BK(self) -> Tensor:
        """Logarithm of the share of the masks' attention that goes to each candidate, B x K, without gradient.

        Computed on first access by an extra forward pass of the reader; 0 where there is no candidate.
        """
        assert self.attend is not None, "attention is available only in a reading returned by the model"
        return self.attend()

    def detach(self) -> Reading:
        """The same values without gradients and without access to the attention."""
        return Reading(
            score_BK=self.score_BK.detach(),
            gold_logp_BKJ=self.gold_logp_BKJ.detach(),
            mask_BJ=self.mask_BJ,
            valid_BK=self.valid_BK,
            log_weight_BK=self.log_weight_BK,
            per_token=self.per_token,
            has_null=self.has_null,
            candidates=self.candidates,
            unread_score_BU=None if self.unread_score_BU is None else self.unread_score_BU.detach(),
        )


def read_jointly(retriever: Retriever, reader: Reader, inputs: JointInputs, query_BD: Tensor | None = None) -> Reading:
    """Compute scores with the current towers and log-probabilities with the current reader, with exact gradients.

    query_BD  the query vectors, if they were already computed to search for candidates
    """
    if query_BD is None:
        query_BD = retriever.encode_query(inputs.query_rows)
    vector_UD = retriever.encode_passage(inputs.passage_rows)
    device = vector_UD.device
    # Not a matrix product, which autocast would round to bfloat16.
    score_BK = (query_BD[:, None, :] * vector_UD[inputs.place_BK.to(device)]).sum(dim=2)
    unread_score_BU = None
    if inputs.unread_BU is not None:
        unread_score_BU = (query_BD[:, None, :] * vector_UD).sum(dim=2)
        unread_score_BU = unread_score_BU.masked_fill(~inputs.unread_BU.to(device), -torch.inf)
    log_weight_BK = None if inputs.log_weight_BK is None else inputs.log_weight_BK.to(score_BK)
    if log_weight_BK is not None:
        score_BK = score_BK + log_weight_BK
    num_read = inputs.valid_BK.sum(dim=1).tolist()
    positions = [masks for masks, count in zip(inputs.positions, num_read, strict=True) for _ in range(count)]
    gold = [tokens for tokens, count in zip(inputs.gold, num_read, strict=True) for _ in range(count)]
    flat_nJ = reader.gold_log_prob(inputs.joint_rows, positions, gold)
    num_masks_B = torch.tensor([len(masks) for masks in inputs.positions], device=device)

    def attend() -> Tensor:
        share_n = passage_attention(reader.encoder, inputs.joint_rows, positions)
        return _by_query(share_n, num_read)

    return Reading(
        score_BK=score_BK,
        gold_logp_BKJ=_by_query(flat_nJ, num_read),
        mask_BJ=torch.arange(flat_nJ.shape[1], device=device) < num_masks_B[:, None],
        valid_BK=inputs.valid_BK.to(device),
        log_weight_BK=log_weight_BK,
        per_token=inputs.per_token,
        has_null=inputs.has_null,
        candidates=inputs.candidates,
        unread_score_BU=unread_score_BU,
        attend=attend,
    )


def _by_query(flat: Tensor, num_read: Sequence[int]) -> Tensor:
    """Values of all candidates, query after query, as one row per query, padded with 0."""
    return torch.nn.utils.rnn.pad_sequence(list(torch.split(flat, list(num_read))), batch_first=True)
