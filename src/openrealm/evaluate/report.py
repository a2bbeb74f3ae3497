"""What a run came to, as two files: `report.json` to read by machine and `report.html` to read by eye.

The report is one plain dict. Every key may be absent (a run on a user's own folder has no questions, hence no
systems); what can be worked out from the metrics is filled in, the rest is null in the file and left out of the page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, cast

from openrealm import files
from openrealm.evaluate.page import render

MAX_METRICS_ROWS = 2_000

SystemFigures = TypedDict(
    "SystemFigures",
    {"em": float, "em_low": float, "em_high": float, "f1": float | None, "recall@5": float | None},
    total=False,
)
"""One system over all test questions, shares in [0, 1]; None for what a system or its questions do not have."""


class Candidate(TypedDict, total=False):
    """A passage read for a query: p(z|x) over the candidates, and its retrieval utility in nats."""

    title: str
    text: str
    probability: float
    retrieval_utility: float


class Example(TypedDict, total=False):
    """A held-out masked query, what was masked, and its best candidates before and after pre-training."""

    query: str
    gold: str
    before: list[Candidate]
    after: list[Candidate]


class Comparison(TypedDict):
    """Exact match of the first system minus the second's, paired by question, with its 95 % interval."""

    first: str
    second: str
    mean: float
    low: float
    high: float


class RelationFigures(TypedDict, total=False):
    """How many test questions ask about a relation, and each system's exact match on them."""

    questions: int
    em: dict[str, float]


class Utility(TypedDict, total=False):
    """Mean retrieval utility on held-out queries, in nats."""

    first: float | None
    last: float | None
    frozen_towers_last: float | None


class Report(TypedDict, total=False):
    """All that a report may hold.

    systems            figures by system: closed_book, bm25, warm_start, realm, or any other name
    retrieval_utility  filled in from the metrics where absent
    refreshes          how many times the index was replaced; from refresh_steps or the metrics where absent
    seconds            wall-clock seconds by stage
    peak_memory_bytes  of the whole run
    questions          how many test questions the systems answered
    name, headline     of the run; the headline is written from the figures where absent
    comparisons        paired differences between systems
    metrics            rows of metrics.jsonl: step, split ("train", "heldout" or "refresh"), loss, null_loss,
                       retrieval_utility, null_mass, num_distinct_passages, recall, staleness_steps, ...
    metrics_frozen     the same of the run with frozen towers
    refresh_steps      trainer steps at which a new index was taken
    examples           held-out queries with their candidates
    relations          figures by relation
    facts              hardware, versions, seed, commit, ...: shown as they are
    """

    name: str
    headline: str
    systems: dict[str, SystemFigures]
    comparisons: list[Comparison]
    retrieval_utility: Utility
    refreshes: int
    seconds: dict[str, float]
    peak_memory_bytes: int | None
    questions: int
    metrics: list[dict[str, Any]]
    metrics_frozen: list[dict[str, Any]]
    refresh_steps: list[int]
    examples: list[Example]
    relations: dict[str, RelationFigures]
    facts: dict[str, Any]


def write_report(report: Report, folder: Path) -> dict[str, Any]:
    """Write `report.json` and `report.html` into a folder and return the completed report.

    Both are replaced atomically. Numbers that are not finite become null, so that the report of a run that
    diverged can still be written and read. Raises NoSpace when the disk is full.
    """
    whole = complete(report)
    files.write_json(folder / "report.json", whole)
    files.write_text(folder / "report.html", render(whole))
    return whole


def complete(report: Report) -> dict[str, Any]:
    """The report as plain JSON values with every fixed key present, worked out from the metrics where it can be."""
    given = cast("dict[str, Any]", _plain(report))
    metrics, frozen = given.get("metrics") or [], given.get("metrics_frozen") or []
    steps = given.get("refresh_steps") or [row["step"] for row in metrics if row.get("split") == "refresh"]
    heldout, frozen_heldout = _heldout_utilities(metrics), _heldout_utilities(frozen)
    utility = {
        "first": heldout[0] if heldout else None,
        "last": heldout[-1] if heldout else None,
        "frozen_towers_last": frozen_heldout[-1] if frozen_heldout else None,
    }
    blank = dict.fromkeys(SystemFigures.__annotations__)
    refreshes = given.get("refreshes")
    return {
        **given,
        "systems": {name: {**blank, **figures} for name, figures in (given.get("systems") or {}).items()},
        "retrieval_utility": utility | (given.get("retrieval_utility") or {}),
        "refreshes": len(steps) if refreshes is None else refreshes,
        "seconds": given.get("seconds") or {},
        "peak_memory_bytes": given.get("peak_memory_bytes"),
        "questions": given.get("questions") or 0,
        "refresh_steps": steps,
        "metrics": _thinned(metrics),
        "metrics_frozen": _thinned(frozen),
    }


def _heldout_utilities(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    values = [row.get("retrieval_utility") for row in rows if row.get("split") == "heldout"]
    return [value for value in values if value is not None]


def _thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All rows but those of single training steps, of which every n-th stays; metrics.jsonl keeps them all."""
    stride = math.ceil(len(rows) / MAX_METRICS_ROWS) or 1
    return [row for i, row in enumerate(rows) if row.get("split", "train") != "train" or i % stride == 0]


def _plain(value: Any) -> Any:
    """Values that JSON can hold: numpy scalars unwrapped, NaN and infinities null, paths and the like as text."""
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return str(value)
