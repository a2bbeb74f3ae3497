"""Candidates of masked queries: the best passages in a (stale) index, and a sample of the others.

Axes: B queries, K candidates, N corpus, D projection.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from openrealm.config import PretrainConfig
from openrealm.corpus.corpus import Corpus
from openrealm.index.index import Index
from openrealm.model.losses import sampled_tail_log_weights
from openrealm.model.reading import JointInputs
from openrealm.text.pack import Row
from openrealm.train.examples import Example
from openrealm.types import NULL

_TAIL_STREAM = 6  # keeps these random numbers independent of others with the same seed


def find_candidates(
    index: Index,
    query_BD: Tensor,
    examples: Sequence[Example],
    num_candidates: int,
    *,
    use_null: bool = True,
    block_trivial: bool = True,
) -> list[list[int]]:
    """The numbers of the passages to read for each query (Guu et al. 2020, Sec. 3.4).

    use_null       put the null passage first; it counts towards `num_candidates`
    block_trivial  exclude the query's own passage and its near-duplicates
    Returns up to `num_candidates` passages per query, best first.
    """
    blocked = [example.blocked if block_trivial else () for example in examples]
    if not use_null:
        return index.search(query_BD, num_candidates, exclude=blocked).passages()
    if num_candidates == 1:
        return [[NULL] for _ in examples]
    return [[NULL, *row] for row in index.search(query_BD, num_candidates - 1, exclude=blocked).passages()]


def queries_to_read(is_answerable: Sequence[bool], num_read: int, unanswerable_share: float) -> list[int]:
    """Which of the queries that candidates were found for are read: their numbers, in order.

    Retrieving is cheap and reading is not; a query whose masked span occurs in no candidate teaches the retriever only
    that the null passage is better than what was found (docs/lab-log.md).

    is_answerable       whether the masked span of each query occurs in one of its candidates
    num_read            the most queries to read
    unanswerable_share  share of the queries read that are not answerable, rounded down
    The first ones of each kind are taken, fewer than `num_read` if too few are answerable; but always one.

    >>> queries_to_read([False, True, True, False, True, True], 4, 0.25)
    [0, 1, 2, 4]
    """
    answerable = [i for i, is_it in enumerate(is_answerable) if is_it]
    others = [i for i, is_it in enumerate(is_answerable) if not is_it]
    num_others = int(unanswerable_share * num_read)
    answerable = answerable[: num_read - num_others]
    if unanswerable_share < 1:
        num_others = min(num_others, int(len(answerable) * unanswerable_share / (1 - unanswerable_share) + 1e-9))
    return sorted(answerable + others[:num_others]) or others[:1] or [0]


def passages_to_read(found: Sequence[int], has_span: Sequence[bool], num_read: int) -> list[int]:
    """Which of the candidates found for a query are read, best first; a null passage at the front stays there.

    has_span  whether the masked span occurs in each candidate
    num_read  the most to read: for up to half of them candidates with the span, for the rest others

    >>> passages_to_read([NULL, 3, 1, 4, 5, 9], [False, False, False, True, False, True], 4)
    [-1, 3, 1, 4]
    """
    null = [NULL] if found and found[0] == NULL else []
    places = range(len(null), len(found))
    room = num_read - len(null)
    holders = [i for i in places if has_span[i]]
    others = [i for i in places if not has_span[i]]
    num_holders = max((room + 1) // 2, room - len(others))
    chosen = sorted([*holders[:num_holders], *others[: room - len(holders[:num_holders])]])
    return [*null, *(found[i] for i in chosen)]


def share_between(first: float, last: float | None, share_done: float) -> float:
    """The value at `share_done` (0 to 1) of training on the line from `first` to `last`; None means `first`."""
    return first if last is None else first + (last - first) * min(1.0, share_done)


def sample_tail(
    index: Index,
    query_BD: Tensor,
    examples: Sequence[Example],
    candidates: Sequence[list[int]],
    num_draws: int,
    *,
    block_trivial: bool,
    seed: int,
    numbers: Sequence[int],
) -> tuple[list[list[int]], list[list[float]]]:
    """Extend `candidates` by random passages that represent the rest of the corpus.

    A passage that is neither a candidate nor trivial is drawn with its probability under the (stale) index; with fresh
    scores this makes the denominator of p(z|x) exact. A passage drawn twice is read once with twice the weight. The
    draws are a function of the arguments. Each query scans the whole index.

    num_draws  draws per query, with replacement
    numbers    the position of each query in the whole training, which seeds its draws
    Returns the extended candidates and their log-weights, which are 0 for those in `candidates`.
    """
    drawn, log_weights = [], []
    queries = zip(query_BD.detach().float().cpu(), examples, candidates, numbers, strict=True)
    for query_D, example, row, number in queries:
        rng = np.random.default_rng([seed, _TAIL_STREAM, number])
        score_N = index.scores(query_D).double()
        score_N[[passage for passage in row if passage != NULL]] = -torch.inf
        if block_trivial:
            blocked = torch.tensor(example.blocked, dtype=index.group_N.dtype)
            score_N[torch.isin(index.group_N, blocked)] = -torch.inf
        more, weights = draw_tail(score_N, num_draws, rng)
        drawn.append([*row, *more])
        log_weights.append([0.0] * len(row) + weights)
    return drawn, log_weights


def draw_tail(score_N: Tensor, num_draws: int, rng: np.random.Generator) -> tuple[list[int], list[float]]:
    """Draw passages with replacement from softmax(score_N).

    score_N  scores in float64, -inf for passages outside the tail
    Returns the distinct passages drawn, in ascending order, and their log-weights; two empty lists if there is no tail.
    """
    if not bool(score_N.isfinite().any()):
        return [], []
    log_q_N = score_N.log_softmax(dim=0)
    q_N = log_q_N.exp().numpy()
    drawn, count = np.unique(rng.choice(len(q_N), num_draws, p=q_N / q_N.sum()), return_counts=True)
    log_weights: list[float] = sampled_tail_log_weights(log_q_N[drawn], torch.from_numpy(count), num_draws).tolist()
    return drawn.tolist(), log_weights


def pack_candidates(
    corpus: Corpus,
    examples: Sequence[Example],
    candidates: Sequence[Sequence[int]],
    settings: PretrainConfig,
    *,
    with_title: bool,
    log_weights: Sequence[Sequence[float]] | None = None,
) -> JointInputs:
    """Encoder inputs of masked queries and their candidates; each distinct passage is embedded once.

    With `share_candidates`, each query's candidates are unread ones of the others.

    with_title   whether the reader sees the passage's title (`model.title_in_joint`)
    log_weights  log-weights of the candidates, from `sample_tail`
    """
    distinct = sorted({passage for row in candidates for passage in row})
    place = {passage: number for number, passage in enumerate(distinct)}
    longest = max(len(row) for row in candidates)
    pairs = [(example, passage) for example, row in zip(examples, candidates, strict=True) for passage in row]
    max_tokens = corpus.joint_tokens(settings.max_query_tokens, settings.max_joint_tokens)
    joint = [corpus.joint_row(e.query, p, max_tokens, with_title=with_title)[0] for e, p in pairs]
    return JointInputs(
        query_rows=query_rows(corpus, examples, settings.max_query_tokens),
        passage_rows=[corpus.passage_row(passage) for passage in distinct],
        place_BK=torch.tensor([[place[p] for p in row] + [0] * (longest - len(row)) for row in candidates]),
        valid_BK=torch.tensor([[True] * len(row) + [False] * (longest - len(row)) for row in candidates]),
        joint_rows=joint,
        positions=[[place + 1 for place in example.positions] for example in examples],
        gold=[example.gold for example in examples],
        log_weight_BK=_padded(log_weights, longest),
        per_token=settings.per_token_marginal,
        has_null=all(row[0] == NULL for row in candidates),
        candidates=candidates,
        unread_BU=_unread(corpus, examples, candidates, distinct) if settings.share_candidates else None,
    )


def _unread(
    corpus: Corpus, examples: Sequence[Example], candidates: Sequence[Sequence[int]], distinct: Sequence[int]
) -> Tensor:
    """B x U: which of the passages are neither candidates of a query, nor the null passage, nor trivial."""
    passage_U = np.array(distinct)
    group_U = np.where(passage_U == NULL, NULL, corpus.groups[passage_U])
    rows = [
        ~(np.isin(passage_U, [NULL, *row]) | np.isin(group_U, example.blocked))
        for example, row in zip(examples, candidates, strict=True)
    ]
    return torch.from_numpy(np.array(rows))


def query_rows(corpus: Corpus, examples: Sequence[Example], max_tokens: int) -> list[Row]:
    """Inputs of the query tower, truncated to `max_tokens`."""
    return [corpus.query_row(example.query, max_tokens) for example in examples]


def _padded(log_weights: Sequence[Sequence[float]] | None, longest: int) -> Tensor | None:
    if log_weights is None:
        return None
    return torch.tensor([[*row, *[0.0] * (longest - len(row))] for row in log_weights])
