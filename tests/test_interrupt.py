"""Ctrl-C in real processes, also where Python drops the exception that it raises."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from openrealm import interrupt

# A command of the real command line, whose work is the text put in place of WORK.
PROGRAM = """
import os, signal, sys, time
from openrealm.cli.common import stoppable
from openrealm.cli.main import app, main
from openrealm.progress import track

class Pressed:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100):  # Python looks for a signal between two of its own instructions
            pass
        print("the finaliser went on", flush=True)

@app.command("work")
def work():
    with stoppable("openrealm work"):
        WORK

sys.exit(main(["work"]))
"""
IN_STEPS = """
        with track("work", 10) as advance:
            for step in range(10):
                print(step, flush=True)
                if step == 3:
                    Pressed()
                    print("swallowed", flush=True)
                advance()
"""
WITHOUT_STEPS = """
        Pressed()
        print("swallowed", flush=True)
        time.sleep(600)
"""
AT_THE_END = """
        Pressed()
        print("swallowed", flush=True)
"""


def started(work: str) -> subprocess.Popen[str]:
    program = PROGRAM.replace("        WORK\n", work)
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@interrupt.remembered()
def pressed(before: Callable[[], object] = object) -> None:
    before()
    signal.raise_signal(signal.SIGINT)


def test_one_that_a_finaliser_swallows_ends_the_work_at_its_next_step() -> None:
    child = started(IN_STEPS)
    out, said = child.communicate()
    assert out.split() == ["0", "1", "2", "3", "swallowed"]
    assert said == "Stopped. Continue with: openrealm work\n"
    assert child.returncode == 130


def test_one_that_is_swallowed_behind_the_last_step_is_told_too() -> None:
    child = started(AT_THE_END)
    out, said = child.communicate()
    assert out == "swallowed\n"
    assert said == "Stopped. Continue with: openrealm work\n"
    assert child.returncode == 130


def test_the_second_ends_the_process_at_once() -> None:
    child = started(WITHOUT_STEPS)
    assert child.stdout is not None
    assert child.stdout.readline() == "swallowed\n"
    child.send_signal(signal.SIGINT)
    assert child.communicate() == ("", "")
    assert child.returncode == -signal.SIGINT


def test_after_a_command_python_hears_ctrl_c_as_before() -> None:
    before, hook = signal.getsignal(signal.SIGINT), sys.unraisablehook
    with pytest.raises(KeyboardInterrupt):
        pressed()
    assert signal.getsignal(signal.SIGINT) is before
    assert sys.unraisablehook is hook
    interrupt.check()  # what was pressed is forgotten


def test_a_process_that_was_told_to_ignore_ctrl_c_goes_on_ignoring_it() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupt.remembered():
            signal.raise_signal(signal.SIGINT)
            interrupt.check()
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_runs_without_it() -> None:
    seen = []

    def work() -> None:
        with interrupt.remembered():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


def test_other_errors_of_finalisers_are_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: told.append(dropped.exc_type))

    class Broken:
        def __del__(self) -> None:
            raise ValueError("broken")

    with pytest.raises(KeyboardInterrupt):
        pressed(Broken)
    assert told == [ValueError]
