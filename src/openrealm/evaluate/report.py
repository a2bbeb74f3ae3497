"""The results of a run as two files: `report.json` for programs and `report.html` for people.

The report is a plain dict. Any key may be absent (a run on a user's own folder may have no questions, hence no
systems); what is absent is null or empty in the file and omitted from the page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from openrealm import files
from openrealm.evaluate.page import render

MAX_METRICS_ROWS = 2_000
_MAX_OTHER_ROWS = 300
_RARE = {"num_steps", "minutes", "dev_recall@5"}
"""Keys of the rows of progress.jsonl that are always kept."""

SystemFigures = TypedDict(
    "SystemFigures",
    {
        "em": float,
        "em_low": float,
        "em_high": float,
        "f1": float | None,
        "recall@1": float | None,
        "recall@5": float | None,
    },
    total=False,
)
"""One system on all test questions, as shares in [0, 1]; None where a measure does not apply."""


class Candidate(TypedDict, total=False):
    """A candidate passage of a query: where it is in its source, p(z|x) over the candidates, its utility in nats."""

    title: str
    place: str
    text: str
    probability: float
    retrieval_utility: float


class Example(TypedDict, total=False):
    """A held-out masked query, its masked words, and its top candidates before and after pre-training."""

    query: str
    gold: str
    before: list[Candidate]
    after: list[Candidate]


class Retrieved(TypedDict):
    """What was retrieved for held-out queries during pre-training.

    queries   each with `query`, `gold`, `kind`, and `records`: `step`, `index` (the version), `label` and `candidates`,
              which are [number in `passages` or -1 for the null passage, p(z|x), utility in nats or None]
    passages  each with `title`, `place` and `text`
    """

    queries: list[dict[str, Any]]
    passages: list[dict[str, str]]


class Training(TypedDict):
    """Another training of the run, such as the warm start: its title and its rows of metrics.jsonl."""

    title: str
    metrics: list[dict[str, Any]]


class Comparison(TypedDict):
    """Exact match of the first system minus that of the second, paired by question, with its 95% interval."""

    first: str
    second: str
    mean: float
    low: float
    high: float


class RelationFigures(TypedDict, total=False):
    """The number of test questions about a relation, and each system's exact match on them."""

    questions: int
    em: dict[str, float]


class Utility(TypedDict, total=False):
    """Mean retrieval utility on held-out queries, in nats."""

    first: float | None
    last: float | None
    frozen_towers_last: float | None


class Gain(TypedDict):
    """A paired difference, as a share, with its 95% interval."""

    mean: float
    low: float
    high: float


class Measured(TypedDict):
    """The number of held-out questions of a kind, the figures of each way of answering, and its gains by measure.

    Gains are over the untrained model.
    """

    questions: int
    systems: dict[str, SystemFigures]
    gains: dict[str, dict[str, Gain]]


class Best(TypedDict):
    """Which way of answering was chosen, why, how each does, by kind of question, and what joint training added."""

    system: str
    why: str
    measured: dict[str, Measured]
    verdict: NotRequired[str]


class Report(TypedDict, total=False):
    """Everything a report may contain.

    name               of the run
    best               which way of answering a model that was adapted to the text was found best
    announced_seconds  how long the run was expected to take
    systems            figures by system: closed_book, bm25, warm_start, realm, or any other name
    comparisons        paired differences between systems
    retrieval_utility  on held-out queries, before and after pre-training
    refreshes          how many times the index was replaced
    failed_refreshes   how many times it was to be replaced, but the process that builds it failed
    refresh_steps      the training steps at which it was
    seconds            wall-clock time by stage
    peak_memory_bytes  of the whole run
    questions          the number of test questions
    metrics            rows of metrics.jsonl: step, split ("train", "heldout" or "refresh"), loss, null_loss,
                       retrieval_utility, null_mass, num_distinct_passages, recall, staleness_steps, ...
    metrics_frozen     the same for the run with frozen towers
    progress           rows of progress.jsonl: step, time, memory_bytes, recall on dev questions
    trainings          the other trainings by stage
    examples           held-out queries with their candidates before and after pre-training
    retrieved          the same by index version, for more queries
    relations          figures by relation
    facts              hardware, versions, seed, commit, ...: shown as they are
    """

    name: str
    best: Best
    announced_seconds: float
    systems: dict[str, SystemFigures]
    comparisons: list[Comparison]
    retrieval_utility: Utility
    refreshes: int
    failed_refreshes: int
    seconds: dict[str, float]
    peak_memory_bytes: int | None
    questions: int
    metrics: list[dict[str, Any]]
    metrics_frozen: list[dict[str, Any]]
    refresh_steps: list[int]
    progress: list[dict[str, Any]]
    trainings: dict[str, Training]
    examples: list[Example]
    retrieved: Retrieved
    relations: dict[str, RelationFigures]
    facts: dict[str, Any]


def write_report(report: Report, folder: Path) -> dict[str, Any]:
    """Write `report.json` and `report.html` into a folder and return the completed report.

    Both are replaced atomically. Non-finite numbers become null, so that even a run that diverged gets a readable
    report. Raises NoSpace if the disk is full.
    """
    completed = complete(report)
    files.write_json(folder / "report.json", completed)
    files.write_text(folder / "report.html", render(completed))
    return completed


def complete(report: Report) -> dict[str, Any]:
    """The report as plain JSON values, with every fixed key present and the metrics thinned."""
    given = cast("dict[str, Any]", _plain(report))
    no_figures = dict.fromkeys(SystemFigures.__annotations__)
    no_utility = dict.fromkeys(Utility.__annotations__)
    return {
        **given,
        "systems": {name: no_figures | figures for name, figures in (given.get("systems") or {}).items()},
        "retrieval_utility": no_utility | (given.get("retrieval_utility") or {}),
        "refreshes": given.get("refreshes") or 0,
        "failed_refreshes": given.get("failed_refreshes") or 0,
        "seconds": given.get("seconds") or {},
        "peak_memory_bytes": given.get("peak_memory_bytes"),
        "questions": given.get("questions") or 0,
        "refresh_steps": given.get("refresh_steps") or [],
        "metrics": thinned(given.get("metrics") or []),
        "metrics_frozen": thinned(given.get("metrics_frozen") or []),
        "progress": thinned(given.get("progress") or [], _MAX_OTHER_ROWS),
        "trainings": {
            name: training | {"metrics": thinned(training.get("metrics") or [], _MAX_OTHER_ROWS)}
            for name, training in (given.get("trainings") or {}).items()
        },
    }


def thinned(rows: list[dict[str, Any]], max_rows: int = MAX_METRICS_ROWS) -> list[dict[str, Any]]:
    """All rows of evaluations and refreshes, but only every n-th other one; the files keep them all."""
    stride = math.ceil(len(rows) / max_rows) or 1
    return [row for i, row in enumerate(rows) if _is_kept(row) or i % stride == 0]


def _is_kept(row: dict[str, Any]) -> bool:
    return row.get("split", "train") != "train" or not _RARE.isdisjoint(row)


def _plain(value: Any) -> Any:
    """The value in JSON's types: numpy scalars unwrapped, NaN and infinities as null, paths and the like as text."""
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
