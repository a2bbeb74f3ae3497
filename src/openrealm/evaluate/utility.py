"""What retrieval is worth to the reader, from stored log-probabilities: the definitions, in numpy, free of torch.

Axes: B queries, K candidates. Column 0 is the null passage everywhere, and `valid_BK` is False where a query had
fewer than K candidates. Guu et al. 2020, Eq. 2 and Sec. 4.4. Training logs the same figures from tensors
(`model/marginal.py`); the two implementations are held against each other in the tests.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from openrealm.errors import ShapeMismatch

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
NULL_COLUMN = 0


def retrieval_probability(score_BK: npt.ArrayLike, valid_BK: npt.ArrayLike | None = None) -> Floats:
    """p(z|x): softmax of the scores over a query's valid candidates.

    score_BK  inner products f(x, z), unnormalised, finite where valid
    Returns B x K; a row sums to 1, or to 0 when it has no valid candidate. Raises ShapeMismatch.
    """
    scores, valid = _scores_and_valid(score_BK, valid_BK)
    masked = np.where(valid, scores, -np.inf)
    highest = masked.max(axis=1, keepdims=True)
    weights = np.exp(masked - np.where(np.isfinite(highest), highest, 0.0))
    total = weights.sum(axis=1, keepdims=True)
    probability: Floats = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return probability


def retrieval_utility(logp_BK: npt.ArrayLike) -> Floats:
    """RU(z|x) = log p(y|z,x) - log p(y|null,x), in nats.

    logp_BK   log p(y|z,x); column 0 is log p(y|null,x)
    Returns B x K, column 0 being 0. Positive where a passage helps to predict y.
    """
    logp = _matrix(logp_BK, "logp_BK")
    return logp - logp[:, [NULL_COLUMN]]


def expected_utility(logp_BK: npt.ArrayLike, score_BK: npt.ArrayLike, valid_BK: npt.ArrayLike | None = None) -> Floats:
    """The utility that a query can expect: RU averaged under p(z|x) renormalised over its real passages.

    The null passage is left out, since its utility is 0 by definition and would only mirror its own mass.
    Returns B utilities in nats; a query without a real candidate gives 0. Raises ShapeMismatch.
    """
    scores, valid = _scores_and_valid(score_BK, valid_BK)
    utility = retrieval_utility(logp_BK)
    if utility.shape != scores.shape:
        raise ShapeMismatch(f"logp_BK is {utility.shape}, score_BK is {scores.shape}: B and K must agree.")
    real = valid.copy()
    real[:, NULL_COLUMN] = False
    weight = retrieval_probability(scores, real)
    expected: Floats = (weight * np.where(real, utility, 0.0)).sum(axis=1)
    return expected


def entropy(score_BK: npt.ArrayLike, valid_BK: npt.ArrayLike | None = None) -> Floats:
    """Entropy of p(z|x) in nats: 0 for one certain passage, log K for an even spread. Returns B numbers."""
    probability = retrieval_probability(score_BK, valid_BK)
    surprise = -np.log(probability, out=np.zeros_like(probability), where=probability > 0)
    nats: Floats = (probability * surprise).sum(axis=1)
    return nats


def null_mass(score_BK: npt.ArrayLike, valid_BK: npt.ArrayLike | None = None) -> Floats:
    """p(null|x), in [0, 1], of each of the B queries: near 1, the retriever brings nothing that is read."""
    return retrieval_probability(score_BK, valid_BK)[:, NULL_COLUMN]


def num_distinct_passages(passage_BK: npt.ArrayLike, *, null_id: int = -1) -> int:
    """How many different passages were retrieved over all queries; few of them means collapse to hubs.

    passage_BK  passage numbers; `null_id` stands for the null passage and for a missing candidate
    """
    distinct = np.unique(np.asarray(passage_BK, dtype=np.int64))
    return int((distinct != null_id).sum())


def _matrix(value_BK: npt.ArrayLike, name: str) -> Floats:
    matrix = np.asarray(value_BK, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] < 1:
        raise ShapeMismatch(f"{name} has shape {matrix.shape}; give B queries by K candidates, the null passage first.")
    return matrix


def _scores_and_valid(score_BK: npt.ArrayLike, valid_BK: npt.ArrayLike | None) -> tuple[Floats, Bools]:
    scores = _matrix(score_BK, "score_BK")
    valid = np.ones(scores.shape, dtype=np.bool_) if valid_BK is None else np.asarray(valid_BK, dtype=np.bool_)
    if valid.shape != scores.shape:
        raise ShapeMismatch(f"valid_BK is {valid.shape}, score_BK is {scores.shape}: B and K must agree.")
    return scores, valid
