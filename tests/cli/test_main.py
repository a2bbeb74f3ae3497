from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import openrealm
from openrealm.cli.main import main

COMMANDS = (
    *("quickstart", "run", "ask", "search", "serve", "watch"),
    *("corpus", "warm-start", "pretrain", "index", "finetune", "evaluate"),
    *("base", "qa", "tagger", "convert"),
    *("runs", "benchmark", "experiment"),
    "config",
)
HEAVY = {"torch", "transformers", "tokenizers", "pyarrow", "numpy", "numba", "rich"}


def printed(*arguments: str) -> str:
    command = [sys.executable, "-m", "openrealm.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_help_lists_the_commands_in_the_order_of_their_use() -> None:
    sections = printed("--help").split("\n\n")
    names = [line.split()[0] for section in sections[3:] for line in section.splitlines()[1:] if line[:4].strip()]
    assert tuple(names) == COMMANDS
    assert [section.splitlines()[0] for section in sections[3:]] == [
        "Whole runs:",
        "Stages of a run, in order:",
        "Other models:",
        "Comparisons:",
        "Settings:",
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    names_its_run = {"run", "serve", "watch", "base", "qa", "tagger", "convert", "runs", "benchmark", "experiment"}
    assert "--run" in capsys.readouterr().out or command in names_its_run


def test_help_takes_less_than_a_third_of_a_second_of_cpu_time() -> None:
    # CPU time, since wall time depends on what else the machine does.
    best = 10.0
    for _ in range(3):
        before = os.times()
        printed("--help")
        after = os.times()
        best = min(best, after.children_user + after.children_system - before.children_user - before.children_system)
    assert best < 0.3


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom openrealm.cli.main import main\nassert main(['--help']) == 0\n"
        "print('loaded', *{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rpartition("loaded")[2].split())
    assert "openrealm" in loaded
    assert not loaded & HEAVY


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"openrealm {openrealm.__version__}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["ask"], ["pretrain", "--nonsense"], ["run"]])
def test_a_command_that_does_not_parse_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_is_reported_in_one_line_with_a_hint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug\nof two lines")

    monkeypatch.setattr("openrealm.cli.ask.latest_finished_run", broken)
    assert main(["ask", "x"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "ZeroDivisionError: a bug of two lines; set OPENREALM_DEBUG=1" in error
    monkeypatch.setenv("OPENREALM_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["ask", "x"])


def test_ctrl_c_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("openrealm.cli.ask.latest_finished_run", interrupted)
    assert main(["ask", "x"]) == 130


@pytest.mark.parametrize("place", ["before", "after"])
def test_quiet_leaves_results_and_errors(place: str, answering_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["finetune", "--run", str(answering_run), "--resume"]
    assert main([*words]) == 0
    assert "Next: " in capsys.readouterr().err
    assert main(["-q", *words] if place == "before" else [*words, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["ask", "the " * 400, "--run", str(answering_run), "--quiet"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("The question has 400 word pieces"), "a warning"
    assert "p(z|x)" in said.out
    assert main(["ask", "the " * 400, "--run", str(answering_run), "--log-level", "error"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["ask", " ", "--run", str(answering_run), "--log-level=error"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_debug_shows_where_an_error_arose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "x", "--run", "./nowhere", "--log-level", "debug"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.splitlines()[-1].startswith("openrealm: nowhere is not a run")


def test_an_unknown_level_is_refused_and_words_after_two_dashes_are_no_options(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["runs", "--log-level", "loud"]) == 2
    assert "'debug'" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert main(["ask", "--run", "./nowhere", "--", "--quiet"]) == 2
    assert "nowhere is not a run" in capsys.readouterr().err


def test_the_shell_completes_commands_and_options() -> None:
    environment = {**os.environ, "_OPENREALM_COMPLETE": "complete_bash"}
    for typed, expected in (("openrealm se", "search"), ("openrealm search --by", "--by")):
        given = {**environment, "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
        command = [sys.executable, "-c", "import sys; from openrealm.cli.main import main; sys.exit(main())"]
        done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
        assert expected in done.stdout.split(), done.stderr
