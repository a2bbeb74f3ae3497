"""A joint reading: what retriever and reader say about a batch of masked queries and their candidates.

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
    place_BK       which of the U passages a candidate is; anything where `valid_BK` is False
    valid_BK       False where a query has fewer than K candidates
    joint_rows     one row `[CLS] x [SEP] body [SEP]` for each valid candidate, query after query
    positions      per query, where its masks are in its joint rows
    gold           per query, the token ids that belong there
    log_weight_BK  log-weights of sampled candidates (see `losses.sampled_tail_log_weights`); None if none was sampled
    per_token      sum passages out once per masked token, as the released code does
    has_null       whether column 0 is the null passage
    candidates     per query, the numbers of its candidates in their corpus; passed on for whoever looks at a reading
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

    @property
    def num_tokens(self) -> int:
        """Word pieces that towers and reader read."""
        return sum(len(row) for rows in (self.query_rows, self.passage_rows, self.joint_rows) for row in rows)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Live scores and log-probabilities of the candidates; losses are functions of it.

    score_BK       f(x,z), with the log-weight of sampled candidates added, so that sums over K estimate those over the
                   whole corpus; unnormalised
    gold_logp_BKJ  log p(y_j|z,x) of each correct token, in nats
    mask_BJ        True where mask j is real
    valid_BK       False where a query has fewer than K candidates
    log_weight_BK  the log-weights alone; None if no candidate was sampled
    per_token      whether passages are summed out once per masked token (the released code) or per query (the paper)
    has_null       whether column 0 is the null passage
    candidates     per query, the numbers of the passages read, as far as they are known
    attend         computes `attention_BK`, by an extra pass of the reader

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
    attend: Callable[[], Tensor] | None = field(default=None, repr=False, compare=False)

    def marginal_log_likelihood(self) -> Tensor:
        """log p(y|x) with the passage summed out, B, in nats (Guu et al. 2020, Eq. 1)."""
        return marginal.marginal_log_likelihood(
            self.score_BK, self.gold_logp_BKJ, self.mask_BJ, valid_BK=self.valid_BK, per_token=self.per_token
        )

    def marginal_loss(self) -> Tensor:
        """-log p(y|x), B, in nats: the loss of the paper."""
        return -self.marginal_log_likelihood()

    def retrieval_log_prob(self) -> Tensor:
        """log p(z|x) over the candidates, B x K, in nats; -inf where there is no candidate (Eq. 2)."""
        return marginal.retrieval_log_prob(self.score_BK, self.valid_BK)

    def posterior(self) -> Tensor:
        """p(z|x,y): which candidate explains the answer, B x K (Guu et al. 2020, Sec. 3.3)."""
        return marginal.passage_posterior(self.score_BK, self.gold_logp_BKJ, self.mask_BJ, self.valid_BK)

    def entropy(self) -> Tensor:
        """Entropy of p(z|x), B, in nats; 0 if one candidate has all the mass."""
        logp_BK = self.retrieval_log_prob()
        # A weighted candidate stands for several passages, each as likely as it is without the weight.
        each_BK = logp_BK if self.log_weight_BK is None else logp_BK - self.log_weight_BK
        return -(logp_BK.exp() * each_BK.masked_fill(~self.valid_BK, 0.0)).sum(dim=1)

    def utility_BK(self) -> Tensor:
        """Retrieval utility of each candidate, B x K, in nats; needs the null passage as column 0."""
        return marginal.utility_BK(self.gold_logp_BKJ, self.mask_BJ)

    def expected_utility(self) -> Tensor:
        """Retrieval utility averaged under p(z|x) over the real passages, B, in nats; needs the null passage."""
        return marginal.expected_utility(self.score_BK, self.gold_logp_BKJ, self.mask_BJ, self.valid_BK)

    @cached_property
    def attention_BK(self) -> Tensor:
        """Log-share of the masks' attention that each candidate gets, B x K, without gradient.

        Computed on first use by an extra pass of the reader; 0 where there is no candidate.
        """
        assert self.attend is not None, "a reading made by hand has no reader to ask for its attention"
        return self.attend()

    def detach(self) -> Reading:
        """The same values without gradients and without the reader behind them."""
        return Reading(
            score_BK=self.score_BK.detach(),
            gold_logp_BKJ=self.gold_logp_BKJ.detach(),
            mask_BJ=self.mask_BJ,
            valid_BK=self.valid_BK,
            log_weight_BK=self.log_weight_BK,
            per_token=self.per_token,
            has_null=self.has_null,
            candidates=self.candidates,
        )


def read_jointly(retriever: Retriever, reader: Reader, inputs: JointInputs, query_BD: Tensor | None = None) -> Reading:
    """Scores by the live towers and log-probabilities by the live reader, so that the gradient is exact.

    `query_BD` are the query vectors, if they were needed before (to search for the candidates).
    """
    if query_BD is None:
        query_BD = retriever.encode_query(inputs.query_rows)
    vector_UD = retriever.encode_passage(inputs.passage_rows)
    device = vector_UD.device
    # Multiplied out by hand: under autocast a matrix product would round the scores to bfloat16.
    score_BK = (query_BD[:, None, :] * vector_UD[inputs.place_BK.to(device)]).sum(dim=2)
    log_weight_BK = None if inputs.log_weight_BK is None else inputs.log_weight_BK.to(score_BK)
    if log_weight_BK is not None:
        score_BK = score_BK + log_weight_BK
    num_read = inputs.valid_BK.sum(dim=1).tolist()
    positions = [where for where, count in zip(inputs.positions, num_read, strict=True) for _ in range(count)]
    gold = [tokens for tokens, count in zip(inputs.gold, num_read, strict=True) for _ in range(count)]
    flat_nJ = reader.gold_log_prob(inputs.joint_rows, positions, gold)
    num_masks_B = torch.tensor([len(where) for where in inputs.positions], device=device)

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
        attend=attend,
    )


def _by_query(flat: Tensor, num_read: Sequence[int]) -> Tensor:
    """Values of all candidates, query after query, as a table with one row per query, padded with 0."""
    return torch.nn.utils.rnn.pad_sequence(list(torch.split(flat, list(num_read))), batch_first=True)
