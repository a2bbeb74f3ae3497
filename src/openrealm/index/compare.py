"""How far two versions of an index are apart: what moved, and how the results of queries change.

Axes: B queries, K results, U results of either version, N corpus, D projection.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from openrealm.errors import Mismatch
from openrealm.index.index import Index

_PASSAGES_AT_ONCE = 1 << 18


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from one version of an index to another.

    overlap           share of the best k passages of the old version that are among those of the new one, mean over
                      queries, 0 to 1
    rank_correlation  Spearman's rank correlation of the scores in both versions, over the best k passages of either,
                      mean over queries, -1 to 1
    drift             1 minus the cosine of a passage's old and new vector, mean over passages, 0 to 2
    drift_N           the same for each passage
    """

    overlap: float
    rank_correlation: float
    drift: float
    drift_N: Tensor

    def row(self) -> dict[str, float]:
        """The means, as they are logged."""
        return {"overlap": self.overlap, "rank_correlation": self.rank_correlation, "drift": self.drift}


def difference(old: Index, new: Index, query_BD: Tensor, k: int) -> Difference:
    """Compare two versions of the index of a corpus by the results of some queries.

    query_BD  query vectors, at least one
    k         number of results to compare
    Raises Mismatch if the versions are not of the same corpus, or have vectors of different dimensions.

    >>> import torch
    >>> from openrealm.index.index import Binding
    >>> old, new = (Index(torch.eye(3)[order], Binding("", "", "")) for order in ([0, 1, 2], [0, 2, 1]))
    >>> found = difference(old, new, torch.eye(3)[:1], k=1)
    >>> found.overlap, found.drift_N.tolist()
    (1.0, [0.0, 1.0, 1.0])
    """
    if old.binding.corpus != new.binding.corpus or old.vector_ND.shape != new.vector_ND.shape:
        raise Mismatch(
            f"Index {old.name} has vectors of shape {tuple(old.vector_ND.shape)} for corpus "
            f"{old.binding.corpus[:16]!r}, index {new.name} {tuple(new.vector_ND.shape)} for "
            f"{new.binding.corpus[:16]!r}; compare versions of the index of one corpus."
        )
    query_BD = query_BD.detach().float().cpu()
    old_BK, new_BK = (index.search(query_BD, k).id_BK for index in (old, new))
    overlap = float(torch.stack([torch.isin(a, b).float().mean() for a, b in zip(old_BK, new_BK, strict=True)]).mean())
    correlations = []
    for query_D, a, b in zip(query_BD, old_BK, new_BK, strict=True):
        either_U = torch.cat([a, b]).unique()  # type: ignore[no-untyped-call]
        one_U, other_U = (index.vectors(either_U) @ query_D for index in (old, new))
        correlations.append(_spearman(one_U, other_U))
    drift_N = torch.cat(
        [
            1 - torch.cosine_similarity(a.float(), b.float(), dim=1)
            for a, b in zip(*(torch.split(index.vector_ND, _PASSAGES_AT_ONCE) for index in (old, new)), strict=True)
        ]
    ).clamp(min=0)
    return Difference(overlap, sum(correlations) / len(correlations), float(drift_N.mean()), drift_N)


def _spearman(one_U: Tensor, other_U: Tensor) -> float:
    """Rank correlation of two lists of scores; 1 for a single one. Ties count in the order of the list."""
    if len(one_U) < 2:
        return 1.0
    ranks = [scores.argsort(stable=True).argsort(stable=True).double() for scores in (one_U, other_U)]
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])
