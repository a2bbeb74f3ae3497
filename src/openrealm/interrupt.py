"""A Ctrl-C that does not get lost.

Python drops whatever is raised while an object is finalised or a callback out of C runs, and with it the
KeyboardInterrupt of a Ctrl-C that comes just then. Here it is remembered, and `check` raises it again.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

_was_pressed = False


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Inside, the first Ctrl-C raises KeyboardInterrupt and is remembered; the second ends the process at once.

    Nothing changes outside the main thread, where Ctrl-C never arrives, or where it was to do something else already.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    report = sys.unraisablehook

    def report_others(dropped: sys.UnraisableHookArgs) -> None:
        if not (_was_pressed and issubclass(dropped.exc_type, KeyboardInterrupt)):
            report(dropped)

    sys.unraisablehook = report_others
    signal.signal(signal.SIGINT, _press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.unraisablehook = report
        _remember(False)


def check() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed; every step of long work calls this (see progress.py)."""
    if _was_pressed:
        raise KeyboardInterrupt


def _press(_number: int, _frame: FrameType | None) -> None:
    _remember(True)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # so that a second one is heard even inside a long call of C
    raise KeyboardInterrupt


def _remember(was_pressed: bool) -> None:
    global _was_pressed
    _was_pressed = was_pressed
