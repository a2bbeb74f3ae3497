from __future__ import annotations

import pytest

from openrealm.errors import BadConfig
from openrealm.model.answering import Answering


def test_confidence_is_the_logistic_function_and_never_overflows() -> None:
    answering = Answering(confidence_slope=2.0, confidence_offset=-1.0)
    assert answering.confidence(0.5, 9.0) == 0.5
    assert answering.confidence(1.0, 9.0) == pytest.approx(0.7310585786)
    beside = Answering(confidence_slope=2.0, confidence_retrieval=0.25, confidence_offset=-1.0)
    assert beside.confidence(0.5, 4.0) == pytest.approx(0.7310585786)
    assert answering.confidence(-1e9, 0.0) == 0.0
    assert answering.confidence(1e9, 0.0) == 1.0


@pytest.mark.parametrize("wrong", [{"threshold": 1.5}, {"bm25_weight": -1.0}, {"retrieval_weight": float("nan")}])
def test_weights_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises((BadConfig, ValueError)):
        Answering(**wrong)
