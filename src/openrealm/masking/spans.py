"""The resolution of overlapping spans."""

from __future__ import annotations

from collections.abc import Iterable

from openrealm.types import Span

_PRIORITY = {"date": 0, "entity": 1, "number": 2}


def resolve(spans: Iterable[Span]) -> list[Span]:
    """The spans that stay where some overlap: the longest; of equal length a date, then an entity, then a number."""
    kept: list[Span] = []
    for span in sorted(set(spans), key=lambda s: (s.start - s.end, _PRIORITY.get(s.kind, 3), s.start)):
        if span.start < span.end and all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda s: s.start)
