"""The commands in real processes where their surroundings are odd: streams, signals, folders, limits, names."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest

from openrealm import files
from openrealm.config import Config
from openrealm.types import Article

# The command `openrealm` as pip installs it, with small shards, so that the builder starts its workers.
PROGRAM = """
import sys
from openrealm.cli.main import main
from openrealm.corpus import builder
builder._SHARD_CHARACTERS = 2000
sys.exit(main())
"""
# The same, but it gets a signal at the second step of a stage.
STOPPED = """
import contextlib, os, sys
from openrealm import interrupt
from openrealm.cli.main import main
from openrealm.run.folder import Run
place, number = sys.argv.pop(1), int(sys.argv.pop(1))
recorded, check, under_way = Run.recorded, interrupt.check, []

@contextlib.contextmanager
def noting(self, name, *args, **options):
    under_way.append([name, 0])
    with recorded(self, name, *args, **options):
        if name == place == "evaluate":  # too short with two questions to check twice
            os.kill(os.getpid(), number)
        yield
    under_way.pop()

def checking():
    if under_way and under_way[-1][0] == place:
        under_way[-1][1] += 1
        if under_way[-1][1] == 2:
            os.kill(os.getpid(), number)
    check()

Run.recorded, interrupt.check = noting, checking
sys.exit(main())
"""
STAGES = ["corpus", "warm_start", "index", "pretrain", "index_pretrained", "finetune_realm", "evaluate"]


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command as a script in a folder of its own."""
    path = tmp_path_factory.mktemp("bin") / "openrealm"
    path.write_text(PROGRAM)
    return path


@pytest.fixture
def started(program: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command to its end, by default in the folder of the test."""

    def run(*words: str, cwd: Path = tmp_path, **env: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(program), *words]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=os.environ | env)

    return run


@pytest.fixture
def settings(toy_config: Callable[..., Config], as_settings: Callable[[Config], list[str]]) -> list[str]:
    """The toy settings, with two processes that build the corpus."""
    return as_settings(toy_config("num_threads=2"))


@pytest.fixture
def toy_source(tmp_path: Path, toy_articles: list[Article]) -> Path:
    path = tmp_path / "toy.jsonl"
    path.write_text("".join(json.dumps({"id": a.id, "title": a.title, "text": a.text}) + "\n" for a in toy_articles))
    return path


def test_no_process_of_a_build_runs_code_of_the_working_directory(
    started: Callable[..., subprocess.CompletedProcess[str]],
    settings: list[str],
    toy_source: Path,
    planted_folder: Path,
    tmp_path: Path,
) -> None:
    """The command itself and its two workers."""
    done = started("corpus", "--source", str(toy_source), "--run", str(tmp_path / "run"), *settings, cwd=planted_folder)
    assert done.returncode == 0, done.stderr


def stopped_in(
    stages: list[str], tmp_path: Path, toy_source: Path, settings: list[str]
) -> subprocess.CompletedProcess[str]:
    """A run that is asked to stop in one stage after another, each time continued by the command that it prints."""
    (tmp_path / "stopped.py").write_text(STOPPED)
    (tmp_path / "questions.jsonl").write_text(
        "".join(json.dumps({"question": f"What is {n}?", "answer": "copper"}) + "\n" for n in range(20))
    )
    words = ["run", str(toy_source), "--name", "runs/toy", "--questions", "questions.jsonl", *settings]
    for stage, number in zip([*stages, "none"], cycle((signal.SIGTERM, signal.SIGHUP, signal.SIGINT)), strict=False):
        command = [sys.executable, str(tmp_path / "stopped.py"), stage, str(int(number)), *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        if stage == "none":
            break
        assert done.returncode == 128 + number, (stage, done.stderr)
        assert "Traceback" not in done.stderr
        [line] = [line for line in done.stderr.splitlines() if line.startswith("Stopped. Continue with: openrealm ")]
        words = shlex.split(line.partition("openrealm ")[2])
        assert not files.sweep(tmp_path), "nothing is left behind"
    return done


@pytest.mark.slow
def test_a_request_to_stop_is_answered_by_the_command_that_continues(
    settings: list[str], toy_source: Path, tmp_path: Path
) -> None:
    stopped_in(["corpus", "warm_start"], tmp_path, toy_source, [*settings, "--set", "finetune.num_steps=1"])


@pytest.mark.slow
def test_a_run_that_is_stopped_in_every_stage_completes(settings: list[str], toy_source: Path, tmp_path: Path) -> None:
    done = stopped_in(STAGES, tmp_path, toy_source, settings)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "toy" / "report.html").exists()


def test_a_process_that_ignores_hangups_goes_on(tmp_path: Path) -> None:
    """As under nohup."""
    program = """
import os, signal, sys
from openrealm.cli.common import stoppable
from openrealm.cli.main import app, main
signal.signal(signal.SIGHUP, signal.SIG_IGN)
@app.command("work")
def work():
    with stoppable("openrealm work"):
        os.kill(os.getpid(), signal.SIGHUP)
        print("went on", flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
sys.exit(main(["work"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "went on\n")
    assert done.stderr == "Stopped. Continue with: openrealm work\n"


def in_a_shell(script: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run a shell script in which `openrealm` is the command."""
    defined = f'openrealm() {{ {shlex.quote(sys.executable)} -m openrealm.cli "$@"; }}\n'
    return subprocess.run(["bash", "-c", defined + script], cwd=cwd, capture_output=True, env=os.environ | env)


SHELL: dict[str, tuple[str, int, str]] = {
    "closed output": ("openrealm config >&-", 0, "openrealm: standard output is closed, so nothing is printed there."),
    "closed errors": ("openrealm config nonsense 2>&-", 2, ""),
    "closed errors, a stage": ("openrealm corpus --source text --run x 2>&- && test -e runs/x/corpus", 0, ""),
    "all closed": ("openrealm corpus --source text --run x <&- >&- 2>&- && test -e runs/x/corpus", 0, ""),
    "a reader that has gone": ("openrealm config | head -1 >/dev/null", 0, ""),
    "a full device": ("openrealm config > /dev/full", 2, "openrealm: No space left on device; free space or check"),
    "a deleted folder": ("mkdir x; cd x; rmdir ../x; openrealm ask x", 2, "the working directory has been deleted;"),
    "a deleted folder, relative": (
        "mkdir x; cd x; rmdir ../x; openrealm corpus --source text --run x",
        2,
        "the working directory has been deleted; change to another folder",
    ),
    "no home": (
        "env -u HOME true; unset HOME; openrealm corpus --source '~nobody-here/x' --run x",
        2,
        "~nobody-here/x does not exist",
    ),
    "a home that cannot be read": ("HOME=/proc/nope openrealm corpus --source text --run x", 0, "Next: openrealm warm"),
    "too little memory": (
        "ulimit -v 200000; openrealm corpus --source text --run x",
        2,
        "openrealm: not enough memory",
    ),
    "memory that suffices": ("ulimit -v 400000; openrealm corpus --source text --run x", 0, "Next: openrealm warm"),
    "too little memory for torch": (
        "openrealm corpus --source text --run x 2>/dev/null; ulimit -v 600000; openrealm warm-start --run x",
        2,
        "openrealm: not enough memory (libtorch",
    ),
}


@pytest.mark.parametrize(("script", "code", "sentence"), SHELL.values(), ids=list(SHELL))
def test_odd_surroundings_are_one_sentence(tmp_path: Path, script: str, code: int, sentence: str) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("In 1921 Ada Lovelace of London met Bob Miller in Paris on 3 May 1922.")
    done = in_a_shell(script, tmp_path)
    printed = done.stderr.decode()
    assert done.returncode == code, printed
    assert "Traceback" not in printed
    assert "internal error" not in printed
    assert sentence in printed
    if code == 2 and sentence:
        assert len([line for line in printed.splitlines() if line.startswith("openrealm: ")]) == 1


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_output_without_unicode_shows_escapes(tmp_path: Path) -> None:
    done = in_a_shell("openrealm config model", tmp_path, **ASCII)
    assert done.returncode == 0, done.stderr
    assert b"W\\xb7pool" in done.stdout


@pytest.mark.parametrize("env", [{}, ASCII], ids=["utf-8", "ascii"])
def test_an_argument_that_is_no_text_is_refused(tmp_path: Path, env: dict[str, str]) -> None:
    done = in_a_shell(r"openrealm ask $'caf\xe9'", tmp_path, **env)
    assert done.returncode == 2
    assert done.stderr == b"openrealm: caf\\udce9 is not text in UTF-8; rename the file, or use a locale in UTF-8.\n"


def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("In 1921 Ada Lovelace of London met Bob Miller in Paris on 3 May 1922.")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "openrealm.cli", "corpus", "--source", "a.txt", "--run", "x"]
    child = subprocess.Popen(command, cwd=tmp_path, stderr=theirs, stdout=theirs, env=os.environ | {"TERM": "dumb"})
    os.close(theirs)
    printed = b""
    with contextlib.suppress(OSError):  # at the end
        while part := os.read(ours, 10_000):
            printed += part
    os.close(ours)
    assert child.wait() == 0
    assert b"\x1b" not in printed
    assert b"corpus: passages tagged: 1/1" in printed


@pytest.mark.parametrize("way", ["mount", "mode"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, way: str) -> None:
    """In a namespace of its own: as a read-only mount, and for a user without permission."""
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("In 1921 Ada Lovelace of London met Bob Miller in Paris on 3 May 1922.")
    in_namespace = ["unshare", "--mount", "--map-root-user", "bash", "-c"]
    mount = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind {tmp_path} && cd {tmp_path}"
    if not shutil.which("unshare") or subprocess.run([*in_namespace, mount], capture_output=True).returncode:
        pytest.skip("cannot mount a folder read-only: unshare --mount --map-root-user is not permitted here")
    runs = "runs/x" if way == "mount" else "/proc/x"
    script = f"{mount} && {shlex.quote(sys.executable)} -m openrealm.cli corpus --source text --run {runs}"
    done = subprocess.run([*in_namespace, script], capture_output=True, text=True)
    assert done.returncode == 2
    assert re.fullmatch(rf"openrealm: (runs|{runs}): .*; free space or check permissions, .*\n", done.stderr), (
        done.stderr
    )


NASTY = "e\x1b[31mv\x9bil\u202e\u2066\u200b\ufeff\r\ntxt.exe"


def nasty_places(tmp_path: Path) -> dict[str, list[str]]:
    """Commands that print a file's name, or text of their arguments."""
    (tmp_path / NASTY).mkdir()
    (tmp_path / NASTY / f"{NASTY}.txt").write_text("In 1921 Ada Lovelace of London met Bob Miller in Paris.")
    (tmp_path / NASTY / f"x.{NASTY}").write_text("x")
    (tmp_path / f"{NASTY}.txt").write_bytes(b"\0\1\2" * 99)
    return {
        "an unreadable file": ["corpus", "--source", f"{NASTY}.txt", "--run", "x"],
        "a missing file": ["corpus", "--source", f"{NASTY}2.txt", "--run", "x"],
        "a run": ["corpus", "--source", NASTY, "--run", f"runs/{NASTY}"],
        "no run": ["ask", "Who?", "--run", NASTY],
        "a setting": ["config", "--set", NASTY],
        "a value": ["config", "--set", f"device={NASTY}"],
        "a section": ["config", NASTY],
        "usage": ["ask", "a", NASTY],
        "a command": [NASTY],
        "an option": [f"--{NASTY}"],
        "questions": ["finetune", "--questions", NASTY, "--run", NASTY],
        "a file of settings": ["config", "--config", f"{NASTY}.toml"],
    }


def test_no_name_reaches_a_terminal_unescaped(tmp_path: Path) -> None:
    for what, words in nasty_places(tmp_path).items():
        command = [sys.executable, "-m", "openrealm.cli", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="surrogateescape")
        printed = done.stdout + done.stderr
        assert not re.search(
            "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]", printed
        ), what
        assert r"e\x1b[31mv\x9bil\u202e" in printed, (what, printed)
