"""The bars and numbers of the report's tables."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from openrealm.evaluate.plots import bar, number


def test_a_bar_is_clipped_and_shows_its_interval() -> None:
    svg = bar(0.5, 0.4, 1.7)
    ET.fromstring(svg)
    assert 'width="100.0"' in svg
    assert 'd="M80.0 4v8M80.0 8H200.0M200.0 4v8"' in svg
    assert "error" not in bar(0.5)
    assert 'class="fill best"' in bar(0.5, is_best=True)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (1234.5, "1,234"), (0.30000000000000004, "0.3"), (-2.5, "-2.5"), (7.666, "7.67")]
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text
