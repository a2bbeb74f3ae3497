"""A child process with limits on time and memory: input that exceeds them ends the child alone, never the run."""

from __future__ import annotations

import contextlib
import json
import resource
import select
import signal
import subprocess
import threading
import time
from typing import Any

from openrealm import subprocesses
from openrealm.corpus.box_worker import LENGTH_BYTES, NO_MEMORY, framed
from openrealm.errors import OpenRealmError

# A stopped or swapping process uses no CPU time; by the wall clock it may take this many times as long.
_CLOCK_FACTOR = 60
_START_SECONDS = 600.0  # by the clock, for a child to be ready
_CAUSES = {
    -signal.SIGPROF: "time",
    NO_MEMORY: "memory",
    -signal.SIGKILL: "memory",
    -signal.SIGABRT: "memory",  # how C++ allocators, such as PDFium's, give up
}


class Box:
    """A child process that answers one message after another, and is replaced when one of them kills it."""

    def __init__(self, module: str, max_seconds: float, max_bytes: int) -> None:
        """A box whose child starts with the first message.

        module       what the child runs; it calls `box_worker.serve`
        max_seconds  CPU time for an answer
        max_bytes    size of the child's address space
        """
        self._module = module
        self._limits = (max_seconds, max_bytes)
        self._child: subprocess.Popen[bytes] | None = None
        self._setting = b""
        self._lock = threading.RLock()

    def ask(self, message: bytes, setting: bytes = b"") -> dict[str, Any]:
        """The child's answer, or {"poison": why} if the message killed it: "time", "memory" or "crash".

        setting  a message that has no answer of its own; sent first if the child does not have it yet
        Raises OpenRealmError when the child cannot be started, MemoryError when it cannot and memory is limited.
        """
        with self._lock:
            try:
                return self._answer(self._child or self._started(), message, setting)
            except BaseException:
                self.close()  # the answer is still to come, and would be taken for that to the next message
                raise

    def close(self) -> None:
        """End the child; the next message starts another."""
        with self._lock:
            if self._child is not None:
                self._child.kill()
                self._child.communicate()
                self._child = None
                self._setting = b""

    def _answer(self, child: subprocess.Popen[bytes], message: bytes, setting: bytes) -> dict[str, Any]:
        try:
            if setting != self._setting:
                _send(child, setting)
                self._setting = setting
            _send(child, message)
            found: dict[str, Any] = json.loads(self._received(child, self._limits[0] * _CLOCK_FACTOR))
        except (OSError, ValueError, EOFError, TimeoutError) as error:
            return {"poison": self._cause_of_death(child, error)}
        return found

    def _started(self) -> subprocess.Popen[bytes]:
        command = subprocesses.command(self._module, *map(str, self._limits))
        self._child = child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
            env=subprocesses.environment(),
        )  # fmt: skip
        try:
            self._received(child, _START_SECONDS)
        except (OSError, ValueError, EOFError, TimeoutError) as error:
            if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
                raise MemoryError("a process that reads documents could not start") from error
            raise OpenRealmError(
                f"A process that reads documents exited before it was ready; run {' '.join(command)} to see why."
            ) from error
        return child

    def _received(self, child: subprocess.Popen[bytes], seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        return _read(child, int(_read(child, LENGTH_BYTES, deadline)), deadline)

    def _cause_of_death(self, child: subprocess.Popen[bytes], error: Exception) -> str:
        if isinstance(error, TimeoutError):
            self.close()
            return "time"
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)
        code = child.returncode
        self.close()
        return _CAUSES.get(code, "crash")


def _send(child: subprocess.Popen[bytes], data: bytes) -> None:
    assert child.stdin is not None
    view = memoryview(framed(data))
    while view:
        view = view[child.stdin.write(view) :]


def _read(child: subprocess.Popen[bytes], length: int, deadline: float) -> bytes:
    assert child.stdout is not None
    parts = bytearray()
    while len(parts) < length:
        if not select.select([child.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        part = child.stdout.read(length - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
