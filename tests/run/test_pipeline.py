"""The whole pipeline at toy size, with real commands, processes, index refreshes and kills."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openrealm.cli.main import main
from openrealm.config import Config
from openrealm.run.systems import SYSTEMS

MARKDOWN = Path(__file__).parents[1] / "data" / "markdown"
COMMAND = [sys.executable, "-m", "openrealm.cli"]
# In addition to the settings of a whole run, where no refresh is needed.
QUICK = [
    part
    for setting in (
        "warm_start.num_steps=2",
        "pretrain.num_steps=120",
        "pretrain.batch_size=8",
        "pretrain.refresh_steps=999",
    )
    for part in ("--set", setting)
]
QUESTIONS = [
    ("Who founded Pedal House?", ["Ingrid Sommer", "Paul Okoro"]),
    ("Where does Anna Brunner bake?", ["Sankt Veit"]),
    ("When did the library of Oberlind open?", ["3 May 1921"]),
    ("Who built the mill?", ["Johann Roth"]),
]


@pytest.fixture(scope="module")
def settings(
    markdown_backbone: Path, toy_config: Callable[..., Config], as_settings: Callable[[Config], list[str]]
) -> list[str]:
    """A run of about a minute on one core, with pre-training long enough for two index refreshes."""
    changes = (
        f"model.backbone={markdown_backbone}",
        "masking.kinds=entity,date,number",
        "pretrain.num_steps=240",
        "pretrain.batch_size=24",
        "pretrain.num_candidates=6",
        "pretrain.refresh_steps=5",
        "pretrain.checkpoint_steps=10",
        "pretrain.eval_steps=40",
        "finetune.num_steps=20",
    )
    return as_settings(toy_config(*changes))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, settings: list[str]) -> Path:
    """`openrealm run` on three Markdown files, as a user types it."""
    here = tmp_path_factory.mktemp("here")
    done = subprocess.run([*COMMAND, "run", str(MARKDOWN), *settings], cwd=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "expect about" in done.stderr, "the expected time is printed"
    assert re.search(r"^Next: openrealm ask --run runs/markdown '.+'$", done.stderr, flags=re.MULTILINE)
    assert "Retrieval utility on held-out queries went from" in done.stdout
    assert "Loading weights" not in done.stderr
    assert [path.name for path in here.iterdir()] == ["runs"]
    return here / "runs" / "markdown"


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_the_index_is_refreshed_during_training(run: Path) -> None:
    metrics = rows(run / "pretrain")
    refreshes = [row for row in metrics if row["split"] == "refresh"]
    assert len(refreshes) >= 2
    assert [row["index"] for row in refreshes] == sorted({row["index"] for row in refreshes})
    steps = [row for row in metrics if row["split"] == "train"]
    assert [row["step"] for row in steps] == list(range(1, 241))
    busy = [row for row in steps if row["refreshing"]]
    assert len(busy) > 10, "training continues while the worker runs"
    moved = [row for row in steps if row["query_tower_grad_norm"] > 0 and row["passage_tower_grad_norm"] > 0]
    assert len(moved) > len(steps) / 2, "if one candidate has all the mass, the gradient is 0 in float32"
    assert {row["index"] for row in steps} >= {row["index"] for row in refreshes[:-1]}


def test_the_report_is_complete(run: Path) -> None:
    report = json.loads((run / "report.json").read_text())
    assert report["systems"] == {}
    assert report["questions"] == 0
    assert report["refreshes"] >= 2
    assert len(report["refresh_steps"]) == report["refreshes"]
    assert set(report["retrieval_utility"]) == {"first", "last", "frozen_towers_last"}
    assert isinstance(report["retrieval_utility"]["last"], float)
    stages = {
        "corpus",
        "questions",
        "warm_start",
        "index",
        "pretrain",
        "index_pretrained",
        "finetune_realm",
        "evaluate",
    }
    assert set(report["seconds"]) == stages
    assert report["peak_memory_bytes"] > 100_000_000
    assert len(report["examples"]) == min(10, len(report["examples"])) > 0
    for example in report["examples"]:
        assert "[MASK]" in example["query"]
        for side in ("before", "after"):
            assert sum(candidate["probability"] for candidate in example[side]) == pytest.approx(1, abs=1e-3)
            null = [candidate for candidate in example[side] if not candidate["text"]]
            assert [candidate["retrieval_utility"] for candidate in null] == [0.0]
            assert all(bool(candidate["place"]) == bool(candidate["text"]) for candidate in example[side])
    assert report["facts"]["passages"] > 20
    assert report["facts"]["questions"] == "cloze questions from the text"
    heldout = [row for row in report["metrics"] if row["split"] == "heldout"]
    assert all(0 < row["hub_share"] <= 1 for row in heldout)
    assert {key for row in heldout for key in row if "/" in key} <= {
        f"retrieval_utility/{kind}" for kind in ("entity", "date", "number")
    }
    page = (run / "report.html").read_text()
    assert '"staleness_steps"' in page
    assert "<script src" not in page


def test_what_is_retrieved_is_recorded_for_every_index_version(run: Path) -> None:
    report = json.loads((run / "report.json").read_text())
    recorded = report["retrieved"]
    assert [query["query"] for query in recorded["queries"]][: len(report["examples"])] == [
        example["query"] for example in report["examples"]
    ]
    versions = {row["index"] for row in rows(run / "pretrain") if row["split"] == "refresh"}
    lines = [json.loads(line) for line in (run / "pretrain" / "retrieved.jsonl").read_text().splitlines()]
    assert {line["index"] for line in lines} > versions
    for query, example in zip(recorded["queries"], report["examples"], strict=False):
        first, *others = query["records"]
        assert (first["step"], first["label"]) == (0, "before training")
        assert len(others) > 1
        shown = [(recorded["passages"][i]["text"] if i >= 0 else "", p) for i, p, _ in first["candidates"]]
        before = {candidate["text"]: candidate["probability"] for candidate in example["before"]}
        assert dict(shown) == pytest.approx(before, abs=2e-3), "as after training from the model before it"
    progress = report["progress"]
    assert progress[0]["num_steps"] == 240
    assert progress[-1]["share_done"] == 1
    assert all(row["memory_bytes"] > 50_000_000 for row in progress)
    assert [row["time"] for row in progress] == sorted(row["time"] for row in progress)
    assert {training["title"] for training in report["trainings"].values()} == {"warm start", "REALM fine-tuning"}


def test_the_run_can_be_asked(run: Path) -> None:
    command = [*COMMAND, "ask", "When did the library open?"]
    done = subprocess.run(command, cwd=run.parent.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = done.stdout.partition("\n")[0]
    marked = re.search(r"\[\[(.+?)\]\]", done.stdout, flags=re.DOTALL)
    assert marked
    assert " ".join(marked.group(1).split()) == answer
    assert done.stderr == ""


def test_completed_stages_are_skipped_and_a_changed_setting_reruns_what_depends_on_it(
    run: Path, settings: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run.parent.parent)
    stamps = {path: path.stat().st_mtime_ns for path in run.rglob("*.safetensors")}
    assert main(["run", str(MARKDOWN), *settings]) == 0
    said = capsys.readouterr().err
    assert said.count("already completed") == 7
    assert "expect about" not in said
    changed = ["--set", "finetune.num_steps=6"]
    assert main(["run", str(MARKDOWN), *settings, *changed]) == 2, "a finished run is not redone without asking"
    said = capsys.readouterr().err
    assert "finetune.num_steps=20 (now 6); they would redo REALM fine-tuning, evaluation." in said
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    (run / "report.json").unlink()
    assert main(["run", str(MARKDOWN), *settings, *changed]) == 0, "an unfinished one goes on"
    said = capsys.readouterr().err
    assert "finetune.num_steps=20 (now 6); done again: REALM fine-tuning." in said
    assert re.findall(r"\] (.+): already completed", said) == [
        "questions",
        "warm start",
        "index",
        "pre-training",
        "index after pre-training",
    ]
    changed = {path for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp}
    assert {path.relative_to(run).parts[0] for path in changed} == {"finetune"}


def test_all_four_systems_are_compared_on_the_same_questions(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in QUESTIONS))
    assert main(["finetune", "--run", str(run), "--system", "all", "--questions", str(file)]) == 0
    assert main(["evaluate", "--run", str(run), "--questions", str(file)]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in ("closed book", "BM25", "warm start", "REALM", "95% interval"))
    report = json.loads((run / "report.json").read_text())
    assert set(report["systems"]) == set(SYSTEMS)
    assert report["questions"] == len(QUESTIONS)
    for system, figures in report["systems"].items():
        assert figures["em_low"] <= figures["em"] <= figures["em_high"]
        assert 0 <= figures["f1"] <= 1
        assert (figures["recall@5"] is None) == (system == "closed_book")
        answers = json.loads((run / "evaluate" / f"{system}.json").read_text())["questions"]
        assert [row["question"] for row in answers] == [question for question, _ in QUESTIONS]
        assert sum(row["em"] for row in answers) == pytest.approx(figures["em"] * len(QUESTIONS))
    assert {entry["second"] for entry in report["comparisons"]} == {"closed_book", "bm25", "warm_start"}
    assert all(entry["low"] <= entry["mean"] <= entry["high"] for entry in report["comparisons"])


@pytest.fixture
def ready(tmp_path: Path, settings: list[str], capsys: pytest.CaptureFixture[str]) -> Path:
    """A run that is ready to be pre-trained, made stage by stage."""
    folder = tmp_path / "run"
    assert main(["corpus", "--source", str(MARKDOWN), "--run", str(folder), *settings, *QUICK]) == 0
    assert main(["warm-start", "--run", str(folder)]) == 0
    assert f"Next: openrealm pretrain --run {folder}" in capsys.readouterr().err
    return folder


def pretrain_until_checkpoint(folder: Path, number: int, send: signal.Signals) -> subprocess.Popen[str]:
    """Start pre-training, and send it a signal once it has saved the checkpoint of step `number` or a later one."""
    child = subprocess.Popen([*COMMAND, "pretrain", "--run", str(folder)], stderr=subprocess.PIPE, text=True)
    wanted = folder / "pretrain" / "checkpoints" / f"step-{number:08d}"
    end = time.monotonic() + 240
    while time.monotonic() < end and child.poll() is None:
        if any(path >= wanted for path in wanted.parent.glob("step-*")):
            break
        time.sleep(0.02)
    assert child.poll() is None, "it should have been stopped half-way"
    child.send_signal(send)
    child.wait()
    return child


def told(child: subprocess.Popen[str]) -> str:
    assert child.stderr is not None
    with child.stderr:
        return child.stderr.read()


def test_killed_pre_training_resumes_from_its_last_checkpoint(ready: Path, capsys: pytest.CaptureFixture[str]) -> None:
    child = pretrain_until_checkpoint(ready, 20, signal.SIGKILL)
    told(child)
    assert child.returncode == -signal.SIGKILL
    assert not (ready / "pretrain" / "model").exists()
    assert main(["finetune", "--run", str(ready)]) == 2
    assert f"pretrain --resume --run {ready}" in capsys.readouterr().err
    assert main(["pretrain", "--resume", "--run", str(ready)]) == 0
    resumed = re.search(r"Resumed from .* at step (\d+)\.", capsys.readouterr().err)
    assert resumed
    assert int(resumed.group(1)) >= 20
    steps = [row["step"] for row in rows(ready / "pretrain") if row["split"] == "train"]
    assert steps == list(range(1, 121))
    assert list(ready.rglob(".tmp-*")) == []


def test_ctrl_c_ends_with_the_command_that_continues(
    ready: Path, settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    child = pretrain_until_checkpoint(ready, 10, signal.SIGINT)
    said = told(child)
    assert child.returncode == 130
    assert said.splitlines()[-1] == f"Stopped. Continue with: openrealm pretrain --resume --run {ready}"
    assert "Traceback" not in said
    workers = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(ready) in _read(path)]
    assert workers == [], "no refresh worker is left behind"
    assert main(["run", str(MARKDOWN), "--name", str(ready), *settings, *QUICK]) == 0
    said = capsys.readouterr().err
    assert re.findall(r"\] (.+): already completed", said) == ["warm start", "index"]
    assert re.search(r"Resumed from .* at step [1-9]", said), "the whole run resumes from the checkpoint too"


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def test_a_second_command_on_a_busy_run_is_refused(ready: Path, capsys: pytest.CaptureFixture[str]) -> None:
    child = subprocess.Popen([*COMMAND, "pretrain", "--run", str(ready)], stderr=subprocess.DEVNULL)
    while not (ready / "pretrain" / "checkpoints").exists() and child.poll() is None:
        time.sleep(0.02)
    try:
        assert main(["finetune", "--run", str(ready)]) == 2
        assert f"is being written by process {child.pid}" in capsys.readouterr().err
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
