"""Ctrl-C in real processes, including where Python discards its KeyboardInterrupt."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from openrealm import interrupt

# A command of the real command line; WORK is replaced by what it does.
PROGRAM = """
import os, signal, sys, time
from openrealm.cli.common import stoppable
from openrealm.cli.main import app, main
from openrealm.progress import track

class Pressed:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100):  # Python checks for signals between bytecode instructions
            pass
        print("the finaliser continued", flush=True)

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
def press_ctrl_c(before: Callable[[], object] = object) -> None:
    before()
    signal.raise_signal(signal.SIGINT)


def test_a_ctrl_c_swallowed_by_a_finaliser_stops_the_work_at_the_next_step() -> None:
    child = started(IN_STEPS)
    out, err = child.communicate()
    assert out.split() == ["0", "1", "2", "3", "swallowed"]
    assert err == "Stopped. Continue with: openrealm work\n"
    assert child.returncode == 130


def test_a_ctrl_c_swallowed_after_the_last_step_is_reported_too() -> None:
    child = started(AT_THE_END)
    out, err = child.communicate()
    assert out == "swallowed\n"
    assert err == "Stopped. Continue with: openrealm work\n"
    assert child.returncode == 130


def test_a_second_ctrl_c_kills_the_process() -> None:
    child = started(WITHOUT_STEPS)
    assert child.stdout is not None
    assert child.stdout.readline() == "swallowed\n"
    child.send_signal(signal.SIGINT)
    assert child.communicate() == ("", "")
    assert child.returncode == -signal.SIGINT


def test_pythons_own_handling_is_restored_after_a_command() -> None:
    before, hook = signal.getsignal(signal.SIGINT), sys.unraisablehook
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()
    assert signal.getsignal(signal.SIGINT) is before
    assert sys.unraisablehook is hook
    interrupt.check()  # the earlier Ctrl-C is forgotten


def test_a_process_that_ignores_ctrl_c_keeps_ignoring_it() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupt.remembered():
            signal.raise_signal(signal.SIGINT)
            interrupt.check()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_are_unaffected() -> None:
    seen = []

    def work() -> None:
        with interrupt.remembered():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


def test_other_errors_in_finalisers_are_still_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: reported.append(dropped.exc_type))

    class Broken:
        def __del__(self) -> None:
            raise ValueError("broken")

    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c(Broken)
    assert reported == [ValueError]
