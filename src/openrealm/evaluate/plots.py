"""Inline SVG for the tables of the report: a bar with its confidence interval. Charts are drawn in the browser."""

from __future__ import annotations


def bar(share: float, low: float | None = None, high: float | None = None, *, is_best: bool = False) -> str:
    """A horizontal bar for a share in [0, 1], with an error bar from low to high if both are given."""
    width, height = 200, 16
    parts = [f'<rect class="track" width="{width}" height="{height - 6}" y="3" rx="2"/>']
    fill = "fill best" if is_best else "fill"
    parts.append(f'<rect class="{fill}" width="{width * _clip(share):.1f}" height="{height - 6}" y="3" rx="2"/>')
    if low is not None and high is not None:
        left, right, middle = width * _clip(low), width * _clip(high), height / 2
        parts.append(f'<path class="error" d="M{left:.1f} 4v8M{left:.1f} {middle:g}H{right:.1f}M{right:.1f} 4v8"/>')
    return f'<svg class="bar" viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'


def number(value: float) -> str:
    """A number for a table: three significant digits, with thousands separators.

    >>> number(1234.5), number(0.123456)
    ('1,234', '0.123')
    """
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return "0" if abs(value) < 1e-12 else f"{value:.3g}"


def _clip(share: float) -> float:
    return min(1.0, max(0.0, share))
