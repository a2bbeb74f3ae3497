"""Makes sure that no Ctrl-C gets lost.

Python discards exceptions raised in finalisers and in callbacks from C, including the KeyboardInterrupt of a Ctrl-C
that arrives at that moment. This module remembers it, and `check` raises it again.
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
    """Within this context, the first Ctrl-C raises KeyboardInterrupt and is remembered; a second kills the process.

    Does nothing outside the main thread, which Ctrl-C never reaches, or if SIGINT already has another handler.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    previous_hook = sys.unraisablehook

    def hook(dropped: sys.UnraisableHookArgs) -> None:
        if not (_was_pressed and issubclass(dropped.exc_type, KeyboardInterrupt)):
            previous_hook(dropped)

    sys.unraisablehook = hook
    signal.signal(signal.SIGINT, _handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.unraisablehook = previous_hook
        _remember(False)


def check() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed; called at every step of a long task (see progress.py)."""
    if _was_pressed:
        raise KeyboardInterrupt


def _handle(_number: int, _frame: FrameType | None) -> None:
    _remember(True)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # so that a second one works even during a long call into C
    raise KeyboardInterrupt


def _remember(was_pressed: bool) -> None:
    global _was_pressed
    _was_pressed = was_pressed
