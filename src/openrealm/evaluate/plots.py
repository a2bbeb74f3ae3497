"""Small inline SVG charts: line charts over training steps and a bar with its interval. No library, no script.

Colours come from the page's style sheet (`--s1` ... `--s4` and classes), so that one picture fits light and dark.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Point = tuple[float, float]

_WIDTH, _HEIGHT = 520, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 152, 10, 30
_LABEL_HEIGHT = 14
_MAX_DOTS = 60


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: its name, its points by rising x, which of the four colours, and whether it is only background."""

    name: str
    points: tuple[Point, ...]
    colour: int = 1
    is_background: bool = False


@dataclass(frozen=True, slots=True)
class _Scale:
    """Linear map from data to the picture; `low` and `high` are the first and last value shown."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def line_chart(lines: Iterable[Line], *, x_label: str = "step", marks: Sequence[float] = ()) -> str:
    """An SVG line chart with axes, direct labels and a dashed vertical at each mark; "" when no line has a point.

    Points that are not finite are left out. Every number and name is escaped.
    """
    drawn = [kept for line in lines if (kept := _finite(line)).points]
    if not drawn:
        return ""
    xs, ys = zip(*(point for line in drawn for point in line.points), strict=True)
    x_of = _Scale(*_padded(min(xs), max(xs)), _LEFT, _WIDTH - _RIGHT)
    ticks = nice_ticks(*_padded(0.0 if 0 <= min(ys) < max(ys) / 2 else min(ys), max(ys)))
    y_of = _Scale(ticks[0], ticks[-1], _HEIGHT - _BOTTOM, _TOP)
    body = [*_axes(x_of, y_of, ticks, x_label)]
    body += [
        f'<line class="mark" x1="{x_of(x):.1f}" x2="{x_of(x):.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
        for x in marks
        if x_of.low <= x <= x_of.high
    ]
    for line in sorted(drawn, key=lambda line: not line.is_background):
        body += _curve(line, x_of, y_of)
    body += _end_labels([line for line in drawn if not line.is_background], y_of)
    return f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(body)}</svg>'


def bar(share: float, low: float | None = None, high: float | None = None, *, is_best: bool = False) -> str:
    """A horizontal bar for a share in [0, 1], with a whisker from low to high where they are given."""
    width, height = 200, 16
    parts = [f'<rect class="track" width="{width}" height="{height - 6}" y="3" rx="2"/>']
    fill = "fill best" if is_best else "fill"
    parts.append(f'<rect class="{fill}" width="{width * _clip(share):.1f}" height="{height - 6}" y="3" rx="2"/>')
    if low is not None and high is not None:
        ends = f'x1="{width * _clip(low):.1f}" x2="{width * _clip(high):.1f}"'
        parts.append(f'<line class="whisker" {ends} y1="{height / 2}" y2="{height / 2}"/>')
    return f'<svg class="bar" viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'


def nice_ticks(low: float, high: float, num_steps: int = 4) -> list[float]:
    """Round values (steps of 1, 2 or 5 times a power of ten) that enclose [low, high]; raises ValueError if empty."""
    if not low < high:
        raise ValueError(f"the axis from {low} to {high} is empty")
    raw = (high - low) / num_steps
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def number(value: float) -> str:
    """A number for an axis or a table: three significant digits, thousands parted."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return "0" if abs(value) < 1e-12 else f"{value:.3g}"


def averaged(points: Sequence[Point], num_points: int) -> tuple[Point, ...]:
    """At most `num_points` points, each the mean of neighbours, so that a long noisy run stays legible and small."""
    size = max(1, math.ceil(len(points) / num_points))
    chunks = [points[i : i + size] for i in range(0, len(points), size)]
    return tuple((sum(x for x, _ in c) / len(c), sum(y for _, y in c) / len(c)) for c in chunks)


def _finite(line: Line) -> Line:
    points = tuple((x, y) for x, y in line.points if math.isfinite(x) and math.isfinite(y))
    return Line(line.name, points, line.colour, line.is_background)


def _padded(low: float, high: float) -> tuple[float, float]:
    """The range itself, or a wider one around values that hardly differ, so that noise looks like noise."""
    missing = 0.2 * max(abs(low), abs(high)) - (high - low)
    if low == high == 0.0:
        missing = 2.0
    return (low - missing / 2, high + missing / 2) if missing > 0 else (low, high)


def _clip(share: float) -> float:
    return min(1.0, max(0.0, share))


def _axes(x_of: _Scale, y_of: _Scale, y_ticks: Sequence[float], x_label: str) -> Iterable[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for value in y_ticks:
        zero = ' class="zero"' if abs(value) < 1e-12 else ' class="grid"'
        yield f'<line{zero} x1="{_LEFT}" x2="{right}" y1="{y_of(value):.1f}" y2="{y_of(value):.1f}"/>'
        yield f'<text class="tick" text-anchor="end" x="{_LEFT - 6}" y="{y_of(value) + 4:.1f}">{number(value)}</text>'
    for value in nice_ticks(x_of.low, x_of.high):
        if x_of.low <= value <= x_of.high:
            place = f'text-anchor="middle" x="{x_of(value):.1f}" y="{bottom + 16}"'
            yield f'<text class="tick" {place}>{number(value)}</text>'
    yield f'<text class="tick" x="{right + 20}" y="{bottom + 16}">{html.escape(x_label)}</text>'


def _curve(line: Line, x_of: _Scale, y_of: _Scale) -> Iterable[str]:
    path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line.points)
    kind = "back" if line.is_background else "curve"
    yield f'<polyline class="{kind}" style="stroke:var(--s{line.colour})" points="{path}"/>'
    if not line.is_background and len(line.points) <= _MAX_DOTS:
        for x, y in line.points:
            tip = html.escape(f"{line.name}, step {number(x)}: {number(y)}")
            dot = f'cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="2.5" style="fill:var(--s{line.colour})"'
            yield f"<circle {dot}><title>{tip}</title></circle>"


def _end_labels(lines: Sequence[Line], y_of: _Scale) -> Iterable[str]:
    """Names beside the last points, pushed apart where two curves end close together."""
    floor = -math.inf
    for line in sorted(lines, key=lambda line: y_of(line.points[-1][1])):
        y = max(y_of(line.points[-1][1]) + 4, floor + _LABEL_HEIGHT)
        floor = y
        text = html.escape(f"{line.name} {number(line.points[-1][1])}")
        place = f'x="{_WIDTH - _RIGHT + 8}" y="{y:.1f}"'
        yield f'<text class="name" style="fill:var(--s{line.colour})" {place}>{text}</text>'
