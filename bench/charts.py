"""Line charts as SVG for the pictures in docs/results; colours are CSS variables (`--s1` to `--s4`)."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from openrealm.evaluate.plots import number

Point = tuple[float, float]

_WIDTH, _HEIGHT = 520, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 152, 10, 30
_LABEL_HEIGHT = 14
_MAX_DOTS = 60
_NUM_TICKS = 6


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: its name, its points in ascending x, a colour number (1 to 4), and whether it is drawn faintly."""

    name: str
    points: tuple[Point, ...]
    colour: int = 1
    is_background: bool = False


@dataclass(frozen=True, slots=True)
class _Scale:
    """Maps the data range [low, high] linearly to the pixel range [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def line_chart(lines: Iterable[Line], *, x_label: str = "step", marks: Sequence[float] = ()) -> str:
    """An SVG line chart with axes, labels at the line ends and a dashed vertical line at each mark.

    Non-finite points are dropped; returns "" if no line has a point left. Names are escaped.
    """
    lines = [kept for line in lines if (kept := _finite(line)).points]
    if not lines:
        return ""
    xs, ys = zip(*(point for line in lines for point in line.points), strict=True)
    x_of = _Scale(*_widened(min(xs), max(xs)), _LEFT, _WIDTH - _RIGHT)
    y_of = _Scale(*_widened(0.0 if 0 <= min(ys) < max(ys) / 2 else min(ys), max(ys)), _HEIGHT - _BOTTOM, _TOP)
    body = [*_axes(x_of, y_of, x_label), *_marks(marks, x_of)]
    for line in sorted(lines, key=lambda line: not line.is_background):
        body += _curve(line, x_of, y_of)
    body += _end_labels([line for line in lines if not line.is_background], y_of)
    return f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(body)}</svg>'


def ticks(low: float, high: float) -> list[float]:
    """Two to seven round values within [low, high], in steps of 1, 2 or 5 times a power of ten; needs low < high."""
    raw = (high - low) / _NUM_TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def averaged(points: Sequence[Point], num_points: int) -> tuple[Point, ...]:
    """At most `num_points` points, each the mean of consecutive ones: keeps a long noisy curve legible and small."""
    size = max(1, math.ceil(len(points) / num_points))
    chunks = [points[i : i + size] for i in range(0, len(points), size)]
    return tuple((sum(x for x, _ in c) / len(c), sum(y for _, y in c) / len(c)) for c in chunks)


def _finite(line: Line) -> Line:
    return replace(line, points=tuple(point for point in line.points if all(map(math.isfinite, point))))


def _widened(low: float, high: float) -> tuple[float, float]:
    """The range itself, or a wider one if the values hardly differ, so that noise looks like noise."""
    missing = 0.2 * max(abs(low), abs(high)) - (high - low)
    if low == high == 0.0:
        missing = 2.0
    return (low - missing / 2, high + missing / 2) if missing > 0 else (low, high)


def _axes(x_of: _Scale, y_of: _Scale, x_label: str) -> Iterable[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for value in ticks(y_of.low, y_of.high):
        kind = "zero" if abs(value) < 1e-12 else "grid"
        yield f'<line class="{kind}" x1="{_LEFT}" x2="{right}" y1="{y_of(value):.1f}" y2="{y_of(value):.1f}"/>'
        yield f'<text class="tick" text-anchor="end" x="{_LEFT - 6}" y="{y_of(value) + 4:.1f}">{number(value)}</text>'
    for value in ticks(x_of.low, x_of.high):
        place = f'text-anchor="middle" x="{x_of(value):.1f}" y="{bottom + 16}"'
        yield f'<text class="tick" {place}>{number(value)}</text>'
    yield f'<text class="tick" x="{right + 20}" y="{bottom + 16}">{html.escape(x_label)}</text>'


def _marks(marks: Sequence[float], x_of: _Scale) -> Iterable[str]:
    for x in marks:
        if x_of.low <= x <= x_of.high:
            place = f'x1="{x_of(x):.1f}" x2="{x_of(x):.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"'
            yield f'<line class="mark" {place}/>'


def _curve(line: Line, x_of: _Scale, y_of: _Scale) -> Iterable[str]:
    path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line.points)
    kind = "background" if line.is_background else "curve"
    yield f'<polyline class="{kind}" style="stroke:var(--s{line.colour})" points="{path}"/>'
    if not line.is_background and len(line.points) <= _MAX_DOTS:
        for x, y in line.points:
            tip = html.escape(f"{line.name}, step {number(x)}: {number(y)}")
            dot = f'cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="2.5" style="fill:var(--s{line.colour})"'
            yield f"<circle {dot}><title>{tip}</title></circle>"


def _end_labels(lines: Sequence[Line], y_of: _Scale) -> Iterable[str]:
    """Name and last value at the end of each curve, moved apart where they would overlap."""
    next_y = -math.inf
    for line in sorted(lines, key=lambda line: y_of(line.points[-1][1])):
        y = max(y_of(line.points[-1][1]) + 4, next_y)
        next_y = y + _LABEL_HEIGHT
        text = html.escape(f"{line.name} {number(line.points[-1][1])}")
        place = f'x="{_WIDTH - _RIGHT + 8}" y="{y:.1f}"'
        yield f'<text class="name" style="fill:var(--s{line.colour})" {place}>{text}</text>'
