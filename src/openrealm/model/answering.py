"""How a model that answers questions weighs passages and spans, and when it is sure enough to answer."""

from __future__ import annotations

import math
from typing import Annotated

from annotated_types import Ge, Le
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Answering:
    """Weights chosen on held-out questions, saved with a model.

    bm25_weight           weight of the BM25 score of a passage, relative to the question's best, beside f(x,z)
    retrieval_weight      weight of that sum beside g(s), the score of a span
    confidence_slope      change in the log odds that an answer is right with g(s)
    confidence_retrieval  change in these log odds with the best weighted score of a passage
    confidence_offset     these log odds where both scores are 0
    threshold             least probability of being right at which an answer is given

    >>> Answering(confidence_slope=0.5, confidence_retrieval=0.1).confidence(1.0, -5.0)
    0.5
    """

    bm25_weight: Annotated[float, Ge(0)] = 6.0
    retrieval_weight: Annotated[float, Ge(0)] = 0.5
    confidence_slope: float = 1.0
    confidence_retrieval: float = 0.0
    confidence_offset: float = 0.0
    threshold: Annotated[float, Ge(0), Le(1)] = 0.0

    def confidence(self, score: float, retrieval_score: float) -> float:
        """Calibrated probability, 0 to 1, that a span with g(s) = `score` is a right answer.

        retrieval_score  best weighted score of a passage read for the question; see `confidence_scores`
        """
        logit = self.confidence_slope * score + self.confidence_retrieval * retrieval_score + self.confidence_offset
        return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0
