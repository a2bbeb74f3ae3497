"""The labelled sentence ends: that there are enough of them, and that our rule finds them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def sentences(load: Callable[[str], ModuleType]) -> ModuleType:
    """bench/sentences.py as a module."""
    return load("sentences")


def test_at_least_five_hundred_ends_in_six_languages_are_labelled(sentences: ModuleType) -> None:
    rows = [row for part in sentences.PARTS for row in sentences.labelled(part)]
    assert sum(len(row.starts) for row in rows) >= 500
    assert {"en", "de", "fr", "es", "hi", "ar", "zh", "ja"} <= {row.language for row in rows}
    for row in rows:
        assert all(0 < start < len(row.text) and not row.text[start].isspace() for start in row.starts)


@pytest.mark.parametrize("part", ["hard", "development", "heldout"])
def test_our_rule_finds_the_labelled_ends(sentences: ModuleType, part: str) -> None:
    for language, score in sentences.score(sentences.labelled(part), sentences.ours).items():
        assert score.f1 >= (0.97 if language == "en" else 0.96), (language, score)


def test_a_score_is_that_of_a_calculation_by_hand(sentences: ModuleType) -> None:
    rows = [sentences.Labelled("en", "One. Two. Three. Four", {5, 10, 17})]
    score = sentences.score(rows, lambda *_: {5, 7})["en"]
    assert (score.precision, score.recall, score.f1) == (0.5, pytest.approx(1 / 3), 0.4)
    assert sentences.located("One. Two.  Three", ["One. ", "Two. ", "Three"]) == {5, 11}
