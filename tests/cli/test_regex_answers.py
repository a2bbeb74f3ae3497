"""Answers as regular expressions, as in CuratedTREC, from the command line to the report."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from openrealm.cli.main import main

LINES = [
    {"question": "What is the capital of the country?", "answer": ["\\w+burg|nowhere"]},
    {
        "question": "Who founded the city?",
        "answer": ["an?selm|berta|casimir", "(emeric|frida|gustav)", "iv[o]"],
    },
    {"question": "When was the city founded?", "answer": ["\\d{1,2} [a-z]+ 1[4-8]\\d\\d"]},
    {"question": "Who is nobody?", "answer": ["^Nemo$"]},
    {"question": "What begins with a letter or a digit?", "answer": ["\\w"]},
    {"question": "What is never at the start?", "answer": ["(?<=\\w)\\w"]},
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "trec.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


@pytest.fixture
def run(answering_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(answering_run, tmp_path / "run", symlinks=True)


def slow_figures(rows: list[dict[str, object]]) -> tuple[float, float]:
    """Exact match by the definition: some pattern matches from the first character, whatever the case."""
    hits = [any(re.match(f"(?imu:{p})", str(row["prediction"])) for p in row["answers"]) for row in rows]  # type: ignore[attr-defined]
    ranks = [row["rank"] for row in rows]
    return sum(hits) / len(rows), sum(rank is not None for rank in ranks) / len(rows)


def test_patterns_are_matched_by_the_answers_and_searched_in_the_passages(
    run: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--run", str(run), "--questions", str(file), "--regex"]) == 0
    shown = capsys.readouterr().out
    for system in ("realm", "bm25"):
        answered = json.loads((run / "evaluate" / f"{system}.json").read_text())
        rows, figures = answered["questions"], answered["figures"]
        assert [row["answers"] for row in rows] == [line["answer"] for line in LINES]
        em, recall = slow_figures(rows)
        assert (figures["em"], figures["recall@20"]) == (em, recall)
        assert figures["f1"] is None, "a pattern has no words to share"
        assert [row["em"] for row in rows[-2:]] == [1, 0], "a match counts at the start alone"
        assert recall == 5 / 6, "every kind of answer but Nemo is in every other passage"
        assert figures["mrr@20"] == pytest.approx(sum(1 / row["rank"] for row in rows if row["rank"]) / 6)
    assert re.search(r"^REALM +\d of 6 +– +– +–$", shown, flags=re.MULTILINE), "too few for percentages"


def test_the_same_answers_taken_for_text_are_nowhere(run: Path, file: Path) -> None:
    assert main(["evaluate", "--run", str(run), "--questions", str(file)]) == 0
    answered = json.loads((run / "evaluate" / "realm.json").read_text())
    assert [row["em"] for row in answered["questions"]] == [0] * len(LINES)
    assert [row["rank"] for row in answered["questions"]] == [None] * len(LINES)
    assert answered["figures"]["f1"] == 0.0


def test_a_system_is_fine_tuned_on_patterns(run: Path, file: Path) -> None:
    assert main(["finetune", "--run", str(run), "--questions", str(file), "--regex"]) == 0
    rows = [json.loads(line) for line in (run / "finetune" / "realm" / "metrics.jsonl").read_text().splitlines()]
    assert all(row["early_loss"] > 0 for row in rows), "the passages that hold a match are the positives"
    assert any(row["no_positive"] < 1 for row in rows), "and the matches are the spans"


def test_closed_book_cannot_learn_patterns_and_says_so(
    run: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["finetune", "--run", str(run), "--questions", str(file), "--regex", "--system", "closed_book"]
    assert main(words) == 2
    assert "nothing to train on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ({"question": "Who?", "answer": ["fine", "(open"]}, r"trec\.jsonl:1: the answer '\(open' is not a regular"),
        ({"question": "Who?"}, r"trec\.jsonl:1 has no answer"),
    ],
)
def test_a_pattern_that_does_not_compile_is_named_before_anything_runs(
    answering_run: Path, tmp_path: Path, line: dict[str, object], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "trec.jsonl"
    file.write_text(json.dumps(line))
    before = (answering_run / "questions.json").read_bytes()
    assert main(["evaluate", "--run", str(answering_run), "--questions", str(file), "--regex"]) == 2
    assert re.match(rf"openrealm: .*{sentence}", capsys.readouterr().err)
    assert (answering_run / "questions.json").read_bytes() == before


@pytest.mark.parametrize("command", [["evaluate"], ["finetune"], ["run", "folder"]])
def test_regex_without_a_file_is_refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--regex"]) == 2
    assert "--questions FILE" in capsys.readouterr().err
