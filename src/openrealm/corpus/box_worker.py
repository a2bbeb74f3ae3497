"""The child's side of `box.py`: answers messages under limits that the kernel enforces.

Messages arrive on standard input and answers leave on standard output as JSON, each after its length in LENGTH_BYTES
digits. The first answer says that the process is ready.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

LENGTH_BYTES = 12
NO_MEMORY = 3  # exit code for a message that needs too much memory


def serve(answer: Callable[[bytes], dict[str, Any] | None]) -> None:
    """Answer messages until input ends, within the limits that `Box` gives on the command line.

    answer  the answer to a message, or None where there is none
    A message over the limits kills the process: `Box` sees how it died.
    """
    max_seconds, max_bytes = float(sys.argv[1]), int(sys.argv[2])
    set_limits = [limit for limit in resource.getrlimit(resource.RLIMIT_AS) if limit != resource.RLIM_INFINITY]
    max_bytes = min(max_bytes, *set_limits) if set_limits else max_bytes  # a limit of the shell's cannot be raised
    resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent; this process exits with its input
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the replies
    try:
        _write(replies, {})
        while (message := _read()) is not None:
            # CPU time of this process only, so that a busy machine costs no message its answer; the signal kills.
            signal.setitimer(signal.ITIMER_PROF, max_seconds)
            if (found := answer(message)) is not None:
                _write(replies, found)
            signal.setitimer(signal.ITIMER_PROF, 0)
    except MemoryError:
        os._exit(NO_MEMORY)  # at once: there may be no memory left to clean up


def framed(data: bytes) -> bytes:
    """A message as it is sent."""
    return b"%0*d" % (LENGTH_BYTES, len(data)) + data


def _read() -> bytes | None:
    """The next message, or None at the end of input."""
    length = sys.stdin.buffer.read(LENGTH_BYTES)
    return sys.stdin.buffer.read(int(length)) if length else None


def _write(replies: BinaryIO, value: dict[str, Any]) -> None:
    replies.write(framed(json.dumps(value).encode()))
    replies.flush()
