"""The report: its fixed keys, and a page that is well-formed, escaped and self-contained.

What its scripts draw is tested in Chromium, in test_page_drawn.py.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openrealm.evaluate.page import headline, render
from openrealm.evaluate.report import MAX_METRICS_ROWS, Report, complete, write_report

HOSTILE = "<script>alert('x')</script><img src=http://evil.example/x onerror=alert(1)>\"'&"
FIXED_KEYS = {"systems", "retrieval_utility", "refreshes", "seconds", "peak_memory_bytes", "questions"}
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks that tags are balanced, and collects tags, attributes and text; scripts and data apart from the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.get_starttag_text() and not self.open:
            raise AssertionError(f"</{tag}> closes nothing")
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        else:
            self.text += data

    @property
    def data(self) -> Any:
        """What the scripts draw."""
        return json.loads(self.scripts[0])


def metrics(num_steps: int, slope: float) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for step in range(num_steps + 1):
        if step % 10 == 0:
            utility = 0.2 + slope * step
            rows.append(
                {
                    "step": step,
                    "split": "heldout",
                    "loss": 7.0,
                    "null_loss": 7.5,
                    "retrieval_utility": utility,
                    "recall": 0.3,
                }
            )
        if step == 15:
            rows.append({"step": step, "split": "refresh", "index": "x"})
        rows.append(
            {"step": step, "split": "train", "loss": 7.0, "staleness_steps": step, "query_tower_grad_norm": 1.0}
        )
    return rows


def full_report() -> Report:
    figures = {"em": 0.3, "em_low": 0.25, "em_high": 0.35, "f1": 0.4, "recall@5": 0.6}
    return {
        "name": "quickstart",
        "systems": {
            "closed_book": {"em": 0.1, "em_low": 0.08, "em_high": 0.12, "f1": 0.2, "recall@5": None},
            "bm25": {**figures, "em": 0.25},  # type: ignore[typeddict-item]
            "realm": figures,  # type: ignore[typeddict-item]
        },
        "comparisons": [{"first": "realm", "second": "bm25", "mean": 0.05, "low": -0.01, "high": 0.11}],
        "retrieval_utility": {"first": 0.2, "last": 1.2, "frozen_towers_last": 0.1},
        "refreshes": 1,
        "refresh_steps": [15],
        "seconds": {"pretrain": 290.0},
        "peak_memory_bytes": 3 * 2**30,
        "questions": 600,
        "metrics": metrics(20, 0.05),
        "metrics_frozen": metrics(20, -0.005),
        "examples": [
            {
                "query": f"Peru's capital is [MASK]. {HOSTILE}",
                "gold": "Lima",
                "before": [
                    {"title": HOSTILE, "place": HOSTILE, "text": HOSTILE, "probability": 0.4, "retrieval_utility": -0.2}
                ],
                "after": [
                    {
                        "title": "Peru",
                        "place": "notes.csv, line 2, id r1",
                        "text": f"LIMA, not Limassol. {HOSTILE}",
                        "probability": 0.8,
                    }
                ],
            }
        ],
        "relations": {"capital": {"questions": 18, "em": {"realm": 0.5, "bm25": 0.25}}},
        "facts": {"torch": "2.13.0", "host": HOSTILE},
    }


def test_both_files_are_written_and_agree(tmp_path: Path) -> None:
    completed = write_report(full_report(), tmp_path)
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == completed
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == render(completed)
    assert set(completed) >= FIXED_KEYS
    assert completed["systems"]["closed_book"]["recall@5"] is None
    assert set(completed["systems"]["realm"]) >= {"em", "em_low", "em_high", "f1", "recall@5"}


def test_missing_figures_are_null() -> None:
    completed = complete({"retrieval_utility": {"first": 0.5}, "systems": {"realm": {"em": 0.1}}})
    assert completed["retrieval_utility"] == {"first": 0.5, "last": None, "frozen_towers_last": None}
    assert completed["systems"]["realm"] == {
        "em": 0.1,
        "em_low": None,
        "em_high": None,
        "f1": None,
        "recall@1": None,
        "recall@5": None,
    }


@pytest.mark.parametrize(
    "report", [{}, {"metrics": []}, {"metrics": [], "systems": {}, "examples": [], "relations": {}}]
)
def test_an_empty_report_is_valid(tmp_path: Path, report: Report) -> None:
    completed = write_report(report, tmp_path)
    assert set(completed) >= FIXED_KEYS
    assert completed["questions"] == 0
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "has not produced any figures yet" in page.text
    assert not page.tags & {"table", "figure", "svg", "script"}


def test_a_run_without_questions_shows_its_training(tmp_path: Path) -> None:
    report: Report = {"metrics": metrics(20, 0.05), "retrieval_utility": {"first": 0.2, "last": 1.2}}
    page = Page(render(complete(report)))
    assert page.data["lead"] == "The index was not refreshed during training."
    assert page.data["streams"]["pretrain/metrics"]["columns"]["retrieval_utility"][:2] == [0.2, None]
    assert "Question answering" not in page.text
    assert "Retrieval utility on held-out queries went from 0.20 to 1.20 nats." in page.text


def test_no_data_becomes_markup() -> None:
    page = Page(render(complete(full_report())))
    assert not page.tags & {"img", "iframe", "object", "link", "a", "form"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert len(page.scripts) == 3, "the data, the charts' library, and ours"
    assert page.text.count(HOSTILE) == 1, "the fact"
    assert [passage["title"] for passage in page.data["passages"]] == [HOSTILE, "Peru"]


@pytest.mark.parametrize("place", ["name", "system", "relation", "fact", "stage", "comparison"])
def test_every_name_is_escaped(place: str) -> None:
    report: dict[str, Any] = {
        "name": {"name": HOSTILE},
        "system": {"systems": {HOSTILE: {"em": 0.1}}},
        "relation": {"relations": {HOSTILE: {"questions": 1, "em": {HOSTILE: 0.5}}}},
        "fact": {"facts": {HOSTILE: HOSTILE}},
        "stage": {"seconds": {HOSTILE: 1.0}},
        "comparison": {
            "systems": {"realm": {"em": 0.1}},
            "comparisons": [{"first": HOSTILE, "second": HOSTILE, "mean": 0.0, "low": 0.0, "high": 0.0}],
        },
    }[place]
    page = Page(render(complete(report)))  # type: ignore[arg-type]
    assert not page.tags & {"script", "img"}
    assert HOSTILE in page.text


def test_the_page_loads_no_external_resources() -> None:
    text = render(complete(full_report()))
    assert text.count("<style>") == 1
    page = Page(text)
    loading = {"src", "href", "xlink:href", "srcset", "action", "data", "poster"}
    assert not [pair for pair in page.attributes if pair[0] in loading]
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_the_policy_allows_the_scripts_and_the_style_of_the_page_alone() -> None:
    text = render(complete(full_report()))
    page = Page(text)
    policy = next(value for name, value in page.attributes if name == "content" and value.startswith("default-src"))
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style

    def source(inline: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"

    scripts = " ".join(map(source, page.scripts[1:]))
    assert policy == f"default-src 'none'; style-src {source(style[1])}; script-src {scripts}"
    assert "style=" not in text.partition("</style>")[2].partition("<script")[0], "inline styles would be refused"


def test_examples_are_drawn_with_their_places_in_the_source() -> None:
    data = Page(render(complete(full_report()))).data
    assert data["passages"][1] == {
        "title": "Peru",
        "place": "notes.csv, line 2, id r1",
        "text": f"LIMA, not Limassol. {HOSTILE}",
    }
    (query,) = data["queries"]
    assert query["gold"] == "Lima"
    assert query["records"] == [
        {"label": "before training", "candidates": [[0, 0.4, -0.2]]},
        {"label": "after training", "candidates": [[1, 0.8, None]]},
    ]
    assert (query["first"], query["last"]) == (-0.2, -0.2), "of the last record that has utilities"


def test_what_was_recorded_during_training_is_drawn_with_the_candidates_after_it() -> None:
    report = full_report()
    report["retrieved"] = {
        "queries": [
            {
                "query": "Peru's capital is [MASK].",
                "gold": "Lima",
                "kind": "entity",
                "records": [
                    {"step": 0, "index": "a", "label": "before training", "candidates": [[-1, 0.5, 0.0], [0, 0.5, 1.5]]}
                ],
            }
        ],
        "passages": [{"title": "Chile", "place": "", "text": "Santiago"}],
    }
    data = Page(render(complete(report))).data
    assert [passage["title"] for passage in data["passages"]] == ["Chile", "Peru"]
    (query,) = data["queries"]
    assert [record["label"] for record in query["records"]] == ["before training", "after training"]
    assert query["records"][1]["candidates"] == [[1, 0.8, None]]
    assert query["first"] == 1.5, "without the null passage"


def test_the_headline_gives_the_key_figures() -> None:
    assert headline(complete(full_report())) == (
        "REALM answers 30.0% of 600 test questions correctly (95% CI 25.0 to 35.0); closed book 10.0%, BM25 25.0%. "
        "Retrieval utility on held-out queries went from 0.20 to 1.20 nats (with frozen towers: 0.10)."
    )


def test_a_difference_within_its_interval_is_called_not_significant() -> None:
    page = Page(render(complete(full_report())))
    sentence = "REALM vs. BM25: +5.0 points of exact match (95% CI −1.0 to +11.0), not a significant difference."
    assert sentence in page.text


def test_the_best_figure_of_each_column_is_bold() -> None:
    figures = {"em": 0.2, "recall@5": 0.7, "em_unseen_wordings": 0.1}
    text = render(complete({"systems": {"bm25": figures, "realm": {"em": 0.3, "recall@5": 0.6}}}))  # type: ignore[typeddict-item]
    best = re.findall(r'<td class="best">.*?</svg>([\d.]+%)', text)
    assert best == ["70.0%", "10.0%", "30.0%"]
    assert "EM, unseen wordings" in text
    assert "EM, seen wordings" not in text


def test_non_finite_numbers_become_null(tmp_path: Path) -> None:
    report: Any = {
        "metrics": [
            {"step": 0, "split": "heldout", "loss": float("nan"), "retrieval_utility": float("inf")},
            {"step": 1, "split": "heldout", "loss": np.float32(6.5), "retrieval_utility": np.float64(0.5)},
        ],
        "facts": {"path": Path("/tmp/x"), "count": np.int64(3), "list": (1, 2)},
    }
    completed = write_report(report, tmp_path)
    assert completed["metrics"][0]["loss"] is None
    assert completed["metrics"][0]["retrieval_utility"] is None
    assert completed["metrics"][1]["loss"] == 6.5
    assert completed["facts"] == {"path": "/tmp/x", "count": 3, "list": [1, 2]}


def test_a_long_run_gives_a_page_of_bounded_size(tmp_path: Path) -> None:
    rows = metrics(50_000, 0.0)
    completed = write_report({"metrics": rows}, tmp_path)
    num_kept = sum(row["split"] != "train" for row in rows)
    assert len(completed["metrics"]) <= MAX_METRICS_ROWS + num_kept + 1
    assert [row for row in completed["metrics"] if row["split"] == "heldout"] == [
        row for row in rows if row["split"] == "heldout"
    ]
    assert (tmp_path / "report.html").stat().st_size < 1_000_000
