"""Runs read while they are written: rows after a cursor, files that are cut, and states of stages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm import files
from openrealm.config import Config
from openrealm.errors import MissingStage
from openrealm.run import follow, stages
from openrealm.run.folder import Run

ROWS = st.lists(
    st.dictionaries(st.text(max_size=5), st.integers(0, 2**40) | st.text(max_size=8), max_size=3), max_size=8
)


@given(rows=ROWS, data=st.data())
def test_parts_of_a_file_that_grows_add_up_to_its_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Whatever bytes of the file are there at each moment, half lines and half characters included."""
    path = tmp_path_factory.mktemp("rows") / "metrics.jsonl"
    whole = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    found: list[dict[str, Any]] = []
    cursor = ""
    for end in [*cuts, len(whole)]:
        path.write_bytes(whole[:end])
        part = follow.read_part(path, cursor)
        assert not part.is_reset
        found += part.rows
        cursor = part.cursor
    assert found == rows
    assert follow.read_part(path, cursor) == follow.Part([], cursor, False)


def test_a_file_that_was_cut_and_written_again_is_read_from_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert follow.read_part(path) == follow.Part([], "", False), "not written yet"
    for step in range(5):
        files.append_line(path, json.dumps({"step": step, "seconds": 0.1}))
    part = follow.read_part(path)
    files.truncate_lines(path, 3)
    for step in range(3, 9):
        files.append_line(path, json.dumps({"step": step, "seconds": 0.2}))
    again = follow.read_part(path, part.cursor)
    assert again.is_reset
    assert [row["step"] for row in again.rows] == list(range(9))
    path.unlink()
    assert follow.read_part(path, again.cursor) == follow.Part([], "", True)


@pytest.mark.parametrize("cursor", ["x", "5", "-", "99-abc", "-1-aa", "9" * 40 + "-a", "٣-a", "3-" + "é"])
def test_a_cursor_that_was_made_up_reads_from_the_beginning(tmp_path: Path, cursor: str) -> None:
    files.append_line(tmp_path / "a.jsonl", '{"step": 1}')
    assert follow.read_part(tmp_path / "a.jsonl", cursor).rows == [{"step": 1}]


def test_lines_that_are_no_rows_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"step": 1}\n[1]\nnull\n{"a": NaN}\n{\xff}\n' + b"[" * 100_000 + b'\n{"step": 2}\n')
    assert follow.read_part(path).rows == [{"step": 1}, {"step": 2}]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    files.write_sealed(tmp_path / "toy" / "config.json", Config(name="toy").to_dict())
    return Run.open(tmp_path / "toy")


def record(run: Run, stage: str, *, finished: bool) -> None:
    values = {"key": "k", "finished": finished, "seconds": 2.0, "peak_memory_bytes": 0, "files": {}}
    files.write_sealed(run.records / f"{stage}.json", {"stage": stage, **values})


def test_a_stage_that_has_not_finished_is_running_while_its_process_lives(run: Run) -> None:
    assert follow.state(run)["stages"] == []
    record(run, "corpus", finished=True)
    record(run, "pretrain", finished=False)
    locker = subprocess.Popen(
        [sys.executable, "-c", f"import pathlib, sys\nfrom openrealm import files\n"
         f"with files.sole_writer(pathlib.Path({str(run.folder)!r})):\n print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert locker.stdin is not None
    assert locker.stdout is not None
    locker.stdout.readline()
    state = follow.state(run)
    assert [(stage["name"], stage["state"]) for stage in state["stages"]] == [
        ("corpus", "finished"),
        ("pretrain", "running"),
    ]
    locker.stdin.close()
    locker.wait(20)
    locker.stdout.close()
    assert follow.state(run)["stages"][1]["state"] == "interrupted"


def test_a_damaged_record_hides_its_stage_only(run: Run) -> None:
    record(run, "corpus", finished=True)
    record(run, "pretrain", finished=False)
    (run.records / "pretrain.json").write_text("{")
    assert [stage["name"] for stage in follow.state(run)["stages"]] == ["corpus"]


def test_the_state_says_when_the_report_or_what_was_retrieved_changes(run: Run) -> None:
    before = follow.state(run)
    files.write_json(run.report, {"name": "toy"})
    after = follow.state(run)
    assert (before["report"], before["has_report"], after["has_report"]) == ("", False, True)
    assert after["report"] != ""
    files.append_line(stages.get("pretrain").folder(run) / "retrieved.jsonl", "{}")
    assert follow.state(run)["queries"] != after["queries"]
    assert follow.report_of(run) == {"name": "toy"}
    run.report.write_text("{")
    assert follow.report_of(run) == {}


def test_only_files_of_trainings_are_followed(run: Run) -> None:
    for name in (
        "pretrain/metrics.jsonl",
        "pretrain/progress.jsonl",
        "finetune/realm/metrics.jsonl",
        "evil/metrics.jsonl",
    ):
        files.append_line(run.folder / name, "{}")
    assert list(follow.trainings(run)) == ["pretrain/metrics", "pretrain/progress", "finetune_realm/metrics"]


def test_the_latest_run_is_the_one_whose_stages_changed_last(tmp_path: Path) -> None:
    with pytest.raises(MissingStage, match="has no run; start one with `openrealm run FOLDER`"):
        follow.latest_run(tmp_path)
    for number, name in enumerate(("b", "a")):
        files.write_sealed(tmp_path / name / "config.json", Config(name=name).to_dict())
        os.utime(tmp_path / name / "config.json", (number, number))
    assert follow.latest_run(tmp_path).name == "a"
    record(Run.open(tmp_path / "b"), "corpus", finished=True)
    assert follow.latest_run(tmp_path).name == "b"
