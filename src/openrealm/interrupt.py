"""Makes sure that no Ctrl-C gets lost, and treats two other requests to stop like one: SIGTERM and a hang-up.

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

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DEFAULTS = (signal.default_int_handler, signal.SIG_DFL)

_received: int | None = None


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Within this context, the first signal raises KeyboardInterrupt and is remembered; a second kills the process.

    Signals that are ignored, as under nohup, or have another handler are left alone. Does nothing outside the main
    thread, which signals never reach.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS if signal.getsignal(number) in _DEFAULTS}
    previous_hook = sys.unraisablehook

    def hook(dropped: sys.UnraisableHookArgs) -> None:
        if not (_received and issubclass(dropped.exc_type, KeyboardInterrupt)):
            previous_hook(dropped)

    sys.unraisablehook = hook
    for number in before:
        signal.signal(number, _handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = previous_hook
        _remember(None)


def check() -> None:
    """Raise KeyboardInterrupt if a signal has arrived; called at every step of a long task (see progress.py)."""
    if _received:
        raise KeyboardInterrupt


def exit_code() -> int:
    """The code with which a process ends that was asked to stop: 128 and the number of the signal."""
    return 128 + (_received or signal.SIGINT)


def _handle(number: int, _frame: FrameType | None) -> None:
    _remember(number)
    signal.signal(number, signal.SIG_DFL)  # so that a second one works even during a long call into C
    raise KeyboardInterrupt


def _remember(received: int | None) -> None:
    global _received
    _received = received
