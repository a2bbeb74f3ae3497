"""The results of a benchmark: recall by system and set, differences with intervals, as JSON and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from openrealm.benchmarks.question_sets import NUM_FOUND, QuestionSet
from openrealm.benchmarks.systems import System
from openrealm.benchmarks.work import Record
from openrealm.evaluate.compare import paired_difference_over_seeds

_RECALL_AT = (1, 5, 20, NUM_FOUND)
_COMPARED_AT = (5, 20)
_KINDS = {"answer": "recall", "gold": "gold_recall"}

Records = Mapping[str, Sequence[Record]]


def figures(
    systems: Sequence[System], records: Records, sets: Sequence[QuestionSet], baseline: str, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """All figures as JSON values: recall and differences in per cent, times in seconds.

    records   by system, one record for each seed
    baseline  the system that the others are compared with
    facts     what else a reader needs to know
    """
    return {
        **facts,
        "systems": {system.name: {"title": system.title, **_spent(records[system.name])} for system in systems},
        "sets": {
            asked.name: {"questions": len(asked.questions)}
            | {system.name: _recall(records[system.name], asked) for system in systems}
            for asked in sets
        },
        "baseline": baseline,
        "differences": {
            asked.name: {
                system.name: _differences(records[system.name], records[baseline], asked)
                for system in systems
                if system.name != baseline
            }
            for asked in sets
        },
    }


def _spent(records: Sequence[Record]) -> dict[str, float]:
    spent = [record["spent"] for record in records]
    return {
        "seconds": round(float(np.mean([one["seconds"] for one in spent])), 1),
        "num_steps": round(float(np.mean([one["num_steps"] for one in spent]))),
        "num_queries": round(float(np.mean([one["num_queries"] for one in spent]))),
    }


def _recall(records: Sequence[Record], asked: QuestionSet) -> dict[str, float]:
    return {
        f"{name}@{k}_zero_shot": round(100 * float(_hits(records, asked, kind, k).mean()), 2)
        for kind, name in _measured(asked)
        for k in _RECALL_AT
    }


def _differences(first: Sequence[Record], second: Sequence[Record], asked: QuestionSet) -> dict[str, dict[str, float]]:
    out = {}
    for kind, name in _measured(asked):
        for k in _COMPARED_AT:
            found = paired_difference_over_seeds(_hits(first, asked, kind, k), _hits(second, asked, kind, k))
            values = {"mean": found.mean, "low": found.low, "high": found.high}
            out[f"{name}@{k}_zero_shot"] = {key: round(100 * value, 2) for key, value in values.items()}
    return out


def _measured(asked: QuestionSet) -> list[tuple[str, str]]:
    return [(kind, name) for kind, name in _KINDS.items() if kind == "answer" or asked.paragraphs]


def _hits(records: Sequence[Record], asked: QuestionSet, kind: str, k: int) -> npt.NDArray[np.bool_]:
    """S x N: whether a right passage is among the first k."""
    ranks: Any = [record["ranks"][asked.name] for record in records]
    rank_SN = np.array([one[kind] for one in ranks])
    return (rank_SN > 0) & (rank_SN <= k)


def markdown(found: Mapping[str, Any]) -> str:
    """The figures as a page of Markdown."""
    systems, baseline = found["systems"], found["baseline"]
    lines = [
        "# Retrieval for real questions",
        "",
        "Zero-shot recall in per cent: no system has seen a question. R@k: one of the first k passages contains an",
        "answer; gold R@k: it is also of the question's own paragraph. Differences (±) are to "
        f"*{systems[baseline]['title']}*, with their",
        "95 % intervals (paired bootstrap over questions, and over seeds if there are several).",
        "",
        *(f"* {name.replace('_', ' ')}: {_shown(value)}" for name, value in found.items() if _is_fact(value)),
        "",
        "| system | training, s | steps | sentences or queries read |",
        "|---|---|---|---|",
        *(
            f"| {one['title']} | {one['seconds']:,.0f} | {one['num_steps']:,} | {one['num_queries']:,} |"
            for one in systems.values()
        ),
    ]
    for name, figures_of_set in found["sets"].items():
        columns = list(figures_of_set[baseline])
        compared = [key for key in columns if any(key in one for one in found["differences"][name].values())]
        heads = [_head(key) for key in columns] + [f"± {_head(key)}" for key in compared]
        lines += ["", f"## {name} ({figures_of_set['questions']:,} questions)", ""]
        lines += [f"| system | {' | '.join(heads)} |", f"|---{'|---' * len(heads)}|"]
        for system, title in ((key, one["title"]) for key, one in systems.items()):
            values = [f"{figures_of_set[system][key]:.1f}" for key in columns]
            differences = found["differences"][name].get(system, {})
            values += [_interval(differences[key]) if differences else "–" for key in compared]
            lines.append(f"| {title} | {' | '.join(values)} |")
    return "\n".join(lines) + "\n"


def _head(key: str) -> str:
    measure, _, k = key.removesuffix("_zero_shot").partition("@")
    return f"{'gold R' if measure == 'gold_recall' else 'R'}@{k}"


def _interval(one: Mapping[str, float]) -> str:
    return f"{one['mean']:+.1f} ({one['low']:+.1f} to {one['high']:+.1f})"


def _is_fact(value: object) -> bool:
    return isinstance(value, str | int | float | list) and value != ""


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
