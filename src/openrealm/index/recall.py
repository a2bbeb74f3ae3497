"""How many of the best passages a searcher finds, compared with exact search.

Axes: B queries, K results, N passages, D projection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from openrealm.index.exact import ExactSearcher
from openrealm.index.searcher import Searcher

RESULTS = (8, 20)
NUM_QUERIES = 200


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall of a search against exact search in float32.

    recall       by number of results k, "8" and "20": the share of the k best passages that are among the k found
    num_queries  over which it is the mean
    queries      what they were: "passages" of the index, or "questions"
    """

    recall: Mapping[str, float]
    num_queries: int
    queries: str

    def __str__(self) -> str:
        """In words.

        >>> print(Recall({"8": 0.9987}, 200, "passages"))
        recall@8 99.87% of exact search (200 passages as queries)
        """
        shares = ", ".join(f"recall@{k} {share:.2%}" for k, share in self.recall.items())
        return f"{shares} of exact search ({self.num_queries} {self.queries} as queries)"


def recalls(found_BK: Tensor, exact_BK: Tensor, results: Sequence[int] = RESULTS) -> dict[str, float]:
    """Recall by number of results, given the numbers of the passages found by both, best first.

    >>> recalls(torch.tensor([[3, 1, 5]]), torch.tensor([[1, 2, 3]]), (1, 3))
    {'1': 0.0, '3': 0.6666666666666666}
    """
    shares = {}
    for k in results:
        hits = [int(torch.isin(a, b).sum()) for a, b in zip(exact_BK[:, :k], found_BK[:, :k], strict=True)]
        shares[str(k)] = sum(hits) / max(1, exact_BK[:, :k].numel())
    return shares


def recall_on_passages(vector_ND: Tensor, searcher: Searcher) -> Recall:
    """Recall of a searcher over these vectors, with up to 200 of them, drawn at random, as queries."""
    chosen = torch.randperm(len(vector_ND), generator=torch.Generator().manual_seed(0))[:NUM_QUERIES]
    query_BD, k = vector_ND[chosen].float(), max(RESULTS)
    exact_BK, found_BK = (each.search(query_BD, k)[1] for each in (ExactSearcher(vector_ND), searcher))
    return Recall(recalls(found_BK, exact_BK), len(chosen), "passages")
