"""The benchmark harness: alternation, medians, ratios, names, and the line of JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[2] / "bench"
SCRIPTS = ("ask", "corpus_build", "embed", "joint_step", "search", "tail")


@pytest.fixture(scope="module")
def common(load: Callable[[str], ModuleType]) -> ModuleType:
    """bench/common.py as a module."""
    return load("common")


def test_the_sides_alternate_and_the_first_round_is_discarded(common: ModuleType) -> None:
    calls: list[str] = []
    seconds = common.in_turn({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, num_rounds=3)
    assert calls == ["a", "b"] * 4
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_each_side_is_timed_separately(common: ModuleType) -> None:
    seconds = common.in_turn({"slow": lambda: time.sleep(0.03), "quick": lambda: None}, num_rounds=2, warm_up=False)
    assert min(seconds["slow"]) >= 0.03
    assert max(seconds["quick"]) < 0.03


def test_the_time_limit_stops_after_a_complete_round_but_never_before_the_second(common: ModuleType) -> None:
    seconds = common.in_turn({"a": lambda: time.sleep(0.01), "b": lambda: None}, num_rounds=1_000, max_seconds=0.1)
    assert common.MIN_ROUNDS <= len(seconds["a"]) == len(seconds["b"]) <= 11
    spent = common.in_turn({"a": lambda: None}, num_rounds=9, max_seconds=0)
    assert len(spent["a"]) == common.MIN_ROUNDS


def test_higher_rates_are_better(common: ModuleType) -> None:
    figure = common.rate("reading", "pages/s", 10, [1.0, 2.0, 4.0], "peer", [2.0, 8.0, 12.0])
    assert (figure.value, figure.peer_value) == (5.0, 1.25)
    assert figure.ratio == 3.0  # the median of 2, 4 and 3
    assert figure.spread == pytest.approx((4 - 2) / 3)
    assert figure.num_rounds == 3


def test_lower_durations_are_better(common: ModuleType) -> None:
    figure = common.duration("a step", [1.0, 2.0], "peer", [3.0, 6.0])
    assert (figure.value, figure.peer_value, figure.unit) == (1.5, 4.5, "seconds")
    assert (figure.ratio, figure.spread) == (3.0, 0.0)


def test_without_a_peer_the_spread_is_that_of_our_values(common: ModuleType) -> None:
    figure = common.duration("a step", [1.0, 2.0, 4.0], "peer that cannot run", [], note="it is absent")
    assert (figure.peer_value, figure.ratio, figure.spread) == (None, None, 1.5)
    assert figure.note == "it is absent"


def test_the_last_line_is_a_json_list_of_all_figures(common: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    common.report(
        common.rate("reading", "pages/s", 10, [1.0], "peer", [2.0]),
        common.not_measured("writing", "pages/s", "peer", "no pen"),
    )
    first, second = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(first) >= {"figure", "value", "peer", "ratio", "spread", "hardware", "commit"}
    assert (first["figure"], first["value"], first["ratio"]) == ("reading", 10.0, 2.0)
    assert (second["value"], second["ratio"], second["note"]) == (None, None, "no pen")


def test_nothing_to_measure_is_reported_and_exits_successfully(
    common: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ending:
        common.end("There is no run.", common.not_measured("asking", "seconds", "peer", "no run"))
    assert ending.value.code == 0
    printed = capsys.readouterr()
    assert printed.err == "There is no run.\n"
    assert json.loads(printed.out.splitlines()[-1])[0]["note"] == "no run"


def test_sides_that_differ_are_never_timed(common: ModuleType) -> None:
    common.require_same("losses", True)
    with pytest.raises(SystemExit, match="losses differ"):
        common.require_same("losses", False)


def test_the_hardware_includes_cores_threads_and_memory(common: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    name = common.hardware()
    assert ", 3 threads, " in name
    assert " cores, " in name
    assert name.endswith("GiB") or "GiB, " in name


def test_an_option_has_a_default_and_one_for_quick(common: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    for words, wanted in (([], 900), (["--quick"], 90), (["--quick", "--pages", "9"], 9)):
        monkeypatch.setattr(sys, "argv", ["script", "--threads", "1", *words])
        assert common.arguments("What it measures.", pages=(900, 90)).pages == wanted


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_has_quick_and_describes_what_it_measures(name: str) -> None:
    done = subprocess.run([sys.executable, BENCH / f"{name}.py", "--help"], capture_output=True, text=True, check=True)
    assert "--quick" in done.stdout
    opening = (BENCH / f"{name}.py").read_text().partition('"""')[2].split()[:3]
    assert " ".join(opening) in " ".join(done.stdout.split())


def test_a_script_ends_with_its_figures() -> None:
    command = [sys.executable, BENCH / "search.py", "--quick", "--threads", "1", "--rounds", "2", "--passages", "2000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures[0]["peer"] == "numpy (argpartition)"
    assert figures[0]["value"] > 0
    assert figures[0]["ratio"] > 0


def test_ask_measures_both_sides_of_a_run(answering_run: Path) -> None:
    command = [
        sys.executable,
        BENCH / "ask.py",
        "--quick",
        "--threads",
        "1",
        "--questions",
        "3",
        "--run",
        answering_run,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (figure,) = json.loads(done.stdout.splitlines()[-1])
    assert figure["num_rounds"] == 3
    assert min(figure["value"], figure["peer_value"]) > 0


def test_ask_without_a_run_says_so_and_still_prints_the_json_line(tmp_path: Path) -> None:
    command = [sys.executable, BENCH / "ask.py", "--quick", "--run", tmp_path / "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "none is not a run" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])[0]["value"] is None
