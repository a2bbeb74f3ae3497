"""The data that the page of a run draws, in the shape that assets/page.js reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
NULL_PASSAGE = -1
"""Stands for the null passage among the numbers of passages."""


def columns(rows: Sequence[Row]) -> dict[str, Any]:
    """Rows as one list per key, with None where a row lacks it: much smaller than repeating the keys.

    >>> columns([{"step": 0, "loss": 7.5}, {"step": 1}])
    {'length': 2, 'columns': {'step': [0, 1], 'loss': [7.5, None]}}
    """
    keys = dict.fromkeys(key for row in rows for key in row)
    return {"length": len(rows), "columns": {key: [row.get(key) for row in rows] for key in keys}}


class Passages:
    """Passages by number, each kept once."""

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        """`rows`: passages that are numbered already."""
        self.rows: list[dict[str, str]] = []
        self._numbers: dict[tuple[str, str, str], int] = {}
        for row in rows:
            self.add(row["title"], row["place"], row["text"])

    def add(self, title: str, place: str, text: str) -> int:
        """The number of a passage; that of the null passage if all is empty."""
        key = (title, place, text)
        if not any(key):
            return NULL_PASSAGE
        if key not in self._numbers:
            self._numbers[key] = len(self.rows)
            self.rows.append({"title": title, "place": place, "text": text})
        return self._numbers[key]


def explorer(examples: Sequence[Row], retrieved: Row) -> dict[str, Any]:
    """The held-out queries with what was retrieved for them, and the passages, as `Retrieved`.

    examples   held-out queries with their candidates before and after pre-training (see `evaluate.report.Example`)
    retrieved  the same and further queries in the same order, with what was recorded during training
    The candidates after training become the last record of the queries that have them.
    """
    passages = Passages(retrieved.get("passages") or ())
    recorded = retrieved.get("queries") or ()
    queries = []
    for number in range(max(len(examples), len(recorded))):
        example = examples[number] if number < len(examples) else {}
        known = recorded[number] if number < len(recorded) else example
        records = [*(known.get("records") or ())]
        records += [
            {"label": f"{side} training", "candidates": _candidates(example[side], passages)}
            for side in (("after",) if records else ("before", "after"))
            if example.get(side)
        ]
        words = {key: str(known.get(key) or "") for key in ("query", "gold", "kind")}
        queries.append({**words, **utilities(records), "records": records})
    return {"queries": queries, "passages": passages.rows}


def utilities(records: Sequence[Row]) -> dict[str, float | None]:
    """Expected retrieval utility of a query in its first and its last record that has utilities, as `first`, `last`."""
    known = [value for record in records if (value := _expected(record["candidates"])) is not None]
    return {"first": known[0], "last": known[-1]} if known else {"first": None, "last": None}


def _expected(candidates: Sequence[Sequence[Any]]) -> float | None:
    """The mean utility of the passages read, under p(z|x) without the null passage."""
    read = [(p, u) for passage, p, u in candidates if passage != NULL_PASSAGE and u is not None]
    mass = sum(p for p, _ in read)
    return round(sum(p * u for p, u in read) / mass, 4) if mass > 0 else None


def _candidates(candidates: Sequence[Row], passages: Passages) -> list[list[Any]]:
    """[number of the passage, p(z|x), utility or None] of each candidate."""
    return [
        [
            passages.add(*(str(candidate.get(key) or "") for key in ("title", "place", "text"))),
            candidate.get("probability") or 0.0,
            candidate.get("retrieval_utility"),
        ]
        for candidate in candidates
    ]
