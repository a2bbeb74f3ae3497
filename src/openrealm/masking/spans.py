"""What taggers share: kinds of spans by the labels of models, and which of several overlapping spans stays."""

from __future__ import annotations

from collections.abc import Iterable

from openrealm.types import Span

# Labels of OntoNotes, on which models are trained; any other label means an entity.
KIND_OF_LABEL = {"DATE": "date"} | dict.fromkeys(
    ("CARDINAL", "ORDINAL", "PERCENT", "MONEY", "QUANTITY", "TIME"), "number"
)
_PRIORITY = {"date": 0, "entity": 1, "number": 2}


def resolve(spans: Iterable[Span]) -> list[Span]:
    """Spans without overlaps: the longest stays; of equal length a date, then an entity, then a number."""
    kept: list[Span] = []
    overlapping: list[Span] = []  # a chain of spans in which neighbours overlap
    end = 0
    for span in sorted(spans, key=lambda s: s.start):
        if overlapping and span.start >= end:
            kept += _resolved(overlapping)
            overlapping = []
        if span.start < span.end:
            overlapping.append(span)
            end = max(end, span.end)
    return kept + _resolved(overlapping)


def _resolved(overlapping: list[Span]) -> list[Span]:
    if len(overlapping) < 2:
        return overlapping
    kept: list[Span] = []
    for span in sorted(overlapping, key=lambda s: (s.start - s.end, _PRIORITY.get(s.kind, 3), s.start)):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda s: s.start)
