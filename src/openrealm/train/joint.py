"""One joint reading: candidates from the index, live scores from the towers, live log-probabilities from the reader.

Axes: B queries, K candidates (column 0 the null passage where it is used), J masked tokens, N corpus, D projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from openrealm.index.exact import search_unblocked
from openrealm.model.attention import passage_attention
from openrealm.model.losses import sampled_tail_log_weights
from openrealm.model.realm import Realm
from openrealm.text.pack import Row
from openrealm.train.examples import Example
from openrealm.train.layout import NULL, Layout

_TAIL_STREAM = 6  # apart from the streams of other random choices of the same seed


@dataclass(frozen=True, slots=True)
class Reading:
    """What `model.marginal` sums over. `num_tokens` counts the word pieces that towers and reader saw.

    Where a tail was sampled, `score_BK` has its log-weights in it, so that sums over K estimate those over the corpus;
    `log_weight_BK` has them alone (None: nothing was sampled). `attention_BK` is there where the loss asks for it.
    """

    score_BK: Tensor
    gold_logp_BKJ: Tensor
    mask_BJ: Tensor
    valid_BK: Tensor
    candidates: list[list[int]]
    num_tokens: int
    log_weight_BK: Tensor | None = None
    attention_BK: Tensor | None = None


def encode_queries(model: Realm, layout: Layout, examples: Sequence[Example], max_query_tokens: int) -> Tensor:
    """Live E_in(x), B x D."""
    return model.retriever.encode_query([layout.query(e.query, max_query_tokens) for e in examples])


def find_candidates(
    vector_ND: Tensor,
    group_N: Tensor,
    query_BD: Tensor,
    examples: Sequence[Example],
    num_candidates: int,
    *,
    use_null: bool,
    block_trivial: bool,
) -> list[list[int]]:
    """The passages to read for each query by the (stale) index: null first, then the best that are not trivial."""
    blocked = [set(e.blocked) if block_trivial else set() for e in examples]
    found = search_unblocked(vector_ND, query_BD.detach().float().cpu(), num_candidates - use_null, group_N, blocked)
    return [[NULL, *row] if use_null else row for row in found]


def sample_tail(
    vector_ND: Tensor,
    group_N: Tensor,
    query_BD: Tensor,
    examples: Sequence[Example],
    candidates: list[list[int]],
    num_draws: int,
    *,
    block_trivial: bool,
    seed: int,
    step: int,
) -> tuple[list[list[int]], list[list[float]]]:
    """`candidates` with passages drawn from all others, and every one's log-weight (0 where nothing was drawn).

    A passage is drawn with the probability that the (stale) index gives it among those that are neither a candidate
    nor trivial: with fresh scores the denominator of p(z|x) is then exact. A passage drawn twice is read once, with
    twice the weight. The draws are a function of seed, step and what is passed; each query looks at the whole index.
    """
    rng = np.random.default_rng([seed, _TAIL_STREAM, step])
    drawn, log_weights = [], []
    for query_D, example, row in zip(query_BD.detach().float().cpu(), examples, candidates, strict=True):
        score_N = (vector_ND @ query_D).double()
        score_N[[passage for passage in row if passage != NULL]] = -torch.inf
        if block_trivial:
            score_N[torch.isin(group_N, torch.tensor(example.blocked, dtype=group_N.dtype))] = -torch.inf
        more, weights = draw_tail(score_N, num_draws, rng)
        drawn.append([*row, *more])
        log_weights.append([0.0] * len(row) + weights)
    return drawn, log_weights


def draw_tail(score_N: Tensor, num_draws: int, rng: np.random.Generator) -> tuple[list[int], list[float]]:
    """Draw passages with replacement by softmax(score_N), float64, -inf for those that are no part of the tail.

    Returns the distinct passages drawn, in passage order, and their log-weights; nothing where the tail is empty.
    """
    if not bool(score_N.isfinite().any()):
        return [], []
    log_q_N = score_N.log_softmax(dim=0)
    q_N = log_q_N.exp().numpy()
    drawn, count = np.unique(rng.choice(len(q_N), num_draws, p=q_N / q_N.sum()), return_counts=True)
    log_weights: list[float] = sampled_tail_log_weights(log_q_N[drawn], torch.from_numpy(count), num_draws).tolist()
    return drawn.tolist(), log_weights


def score_candidates(
    model: Realm, layout: Layout, query_BD: Tensor, candidates: list[list[int]]
) -> tuple[Tensor, Tensor]:
    """Live f(x,z) of every candidate, each distinct passage encoded once. Returns scores and validity, both B x K."""
    distinct = sorted({passage for row in candidates for passage in row})
    place = {passage: number for number, passage in enumerate(distinct)}
    vector_UD = model.retriever.encode_passage([layout.passage(p) for p in distinct])
    longest = max(len(row) for row in candidates)
    index_BK = torch.tensor([[place[p] for p in row] + [0] * (longest - len(row)) for row in candidates])
    valid_BK = torch.tensor([[True] * len(row) + [False] * (longest - len(row)) for row in candidates])
    device = vector_UD.device
    # Multiplied out by hand: under autocast a matrix product would round the scores to bfloat16.
    score_BK = (query_BD[:, None, :] * vector_UD[index_BK.to(device)]).sum(dim=2)
    return score_BK, valid_BK.to(device)


def read(
    model: Realm, layout: Layout, examples: Sequence[Example], candidates: list[list[int]], max_joint_tokens: int
) -> tuple[Tensor, Tensor, int]:
    """log p(y_j|z,x) for every query, candidate and mask. Returns gold_logp_BKJ, mask_BJ and the tokens read."""
    longest = max(len(row) for row in candidates)
    rows, positions = _joint_rows(layout, examples, candidates, max_joint_tokens)
    gold = [example.gold for example, row in zip(examples, candidates, strict=True) for _ in row]
    flat_nJ = model.reader.gold_log_prob(rows, positions, gold)
    num_masks = flat_nJ.shape[1]
    lengths = [len(row) for row in candidates]
    padded = [torch.nn.functional.pad(part, (0, 0, 0, longest - len(part))) for part in torch.split(flat_nJ, lengths)]
    mask_BJ = torch.tensor([[j < len(e.positions) for j in range(num_masks)] for e in examples])
    return torch.stack(padded), mask_BJ.to(flat_nJ.device), sum(len(row) for row in rows)


def _joint_rows(
    layout: Layout, examples: Sequence[Example], candidates: list[list[int]], max_joint_tokens: int
) -> tuple[list[Row], list[list[int]]]:
    """The reader's inputs, query after query, and where each one's masks are."""
    pairs = [(example, p) for example, row in zip(examples, candidates, strict=True) for p in row]
    rows = [layout.joint(example.query, passage, max_joint_tokens)[0] for example, passage in pairs]
    return rows, [[place + 1 for place in example.positions] for example, _ in pairs]


def attend(
    model: Realm, layout: Layout, examples: Sequence[Example], candidates: list[list[int]], max_joint_tokens: int
) -> Tensor:
    """Log-share of the masks' attention that each candidate gets, B x K; 0 where there is none. No gradient."""
    rows, positions = _joint_rows(layout, examples, candidates, max_joint_tokens)
    share_n = passage_attention(model.reader.encoder, rows, positions)
    parts = torch.split(share_n, [len(row) for row in candidates])
    return torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True)


def joint_reading(
    model: Realm,
    layout: Layout,
    examples: Sequence[Example],
    query_BD: Tensor,
    candidates: list[list[int]],
    max_joint_tokens: int,
    log_weights: list[list[float]] | None = None,
) -> Reading:
    """Scores and readings of the candidates, both live, so that the gradient is exact for the truncated sum.

    `log_weights` are those of `sample_tail`, one per candidate.
    """
    score_BK, valid_BK = score_candidates(model, layout, query_BD, candidates)
    log_weight_BK = None
    if log_weights is not None:
        longest = score_BK.shape[1]
        log_weight_BK = score_BK.new_tensor([row + [0.0] * (longest - len(row)) for row in log_weights])
        score_BK = score_BK + log_weight_BK
    gold_logp_BKJ, mask_BJ, num_read = read(model, layout, examples, candidates, max_joint_tokens)
    distinct = {passage for row in candidates for passage in row}
    num_tokens = num_read + sum(len(layout.passage(p)) for p in distinct) + sum(len(e.query) + 2 for e in examples)
    return Reading(score_BK, gold_logp_BKJ, mask_BJ, valid_BK, candidates, num_tokens, log_weight_BK)
