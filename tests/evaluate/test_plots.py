"""Charts: well-formed SVG, within the frame, faithful to the data."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.evaluate.plots import Line, averaged, bar, line_chart, number, ticks

coordinates = st.floats(-1e6, 1e6)
points = st.lists(st.tuples(coordinates, coordinates), max_size=12).map(tuple)


def numbers_in(svg: str, attribute: str) -> list[float]:
    return [float(value) for value in re.findall(rf' {attribute}="(-?[\d.]+)"', svg)]


@given(st.lists(points, max_size=3), st.lists(coordinates, max_size=3))
def test_a_chart_is_well_formed_and_stays_within_its_frame(
    curves: list[tuple[tuple[float, float], ...]], marks: list[float]
) -> None:
    svg = line_chart([Line(f"<{i}&", curve, i + 1) for i, curve in enumerate(curves)], marks=marks)
    if not any(curves):
        assert svg == ""
        return
    root = ET.fromstring(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for polyline in root.iter("polyline"):
        for pair in polyline.attrib["points"].split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height
    assert all(0 <= x <= width for x in numbers_in(svg, "cx") + numbers_in(svg, "x1"))
    assert len(list(root.iter("polyline"))) == sum(map(bool, curves))


def test_non_finite_points_are_dropped() -> None:
    assert line_chart([Line("loss", ((0.0, math.nan), (1.0, math.inf)))]) == ""
    svg = line_chart([Line("loss", ((0.0, 1.0), (1.0, math.nan), (2.0, 3.0)))])
    assert svg.count("<circle") == 2
    assert "nan" not in svg


def test_names_are_escaped_and_labels_do_not_overlap() -> None:
    svg = line_chart([Line("<b>a</b>", ((0.0, 1.0), (9.0, 1.0))), Line("b", ((0.0, 2.0), (9.0, 1.001)), 2)])
    assert "<b>" not in svg
    assert "&lt;b&gt;a&lt;/b&gt; 1" in svg
    heights = [float(y) for y in re.findall(r'class="name"[^>]* y="([\d.]+)"', svg)]
    assert len(heights) == 2
    assert abs(heights[0] - heights[1]) >= 12


def test_background_lines_have_no_label_and_marks_outside_the_axis_are_dropped() -> None:
    both = [Line("each step", ((0.0, 1.0), (9.0, 5.0)), is_background=True), Line("held-out", ((0.0, 2.0), (9.0, 3.0)))]
    svg = line_chart(both, marks=[-1.0, 4.0, 10.0])
    assert 'class="name"' in svg
    assert "each step" not in svg
    assert svg.count('class="mark"') == 1


@given(coordinates, st.floats(1e-6, 1e6))
def test_ticks_are_round_and_cover_the_range(low: float, span: float) -> None:
    high = low + span
    if not low < high:
        return
    values = ticks(low, high)
    step = values[1] - values[0]
    assert low - 1e-6 * step <= values[0] < low + 1.000001 * step
    assert high - 1.000001 * step < values[-1] <= high + 1e-6 * step
    assert 2 <= len(values) <= 7
    assert f"{step:.2e}"[0] in "125" or f"{step:.1e}"[0] in "125"


@given(st.lists(st.tuples(coordinates, coordinates), max_size=50), st.integers(1, 20))
def test_averaging_stays_within_the_range(raw: list[tuple[float, float]], num_points: int) -> None:
    shown = averaged(raw, num_points)
    assert len(shown) <= num_points
    assert bool(shown) == bool(raw)
    if raw:
        assert min(y for _, y in raw) - 1e-6 <= min(y for _, y in shown)
        assert max(y for _, y in shown) <= max(y for _, y in raw) + 1e-6
    if len(raw) <= num_points:
        assert list(shown) == raw


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
