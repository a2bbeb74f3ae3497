"""Parses pages in child processes with limits on time and memory, so that no page can stop the run.

Answers come back in the order of the pages, for any number of processes.
"""

from __future__ import annotations

import contextlib
import json
import queue
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from openrealm import subprocesses
from openrealm.corpus.sources.namespaces import UNKNOWN, Wiki
from openrealm.corpus.sources.page_worker import NO_MEMORY
from openrealm.errors import OpenRealmError

MAX_SECONDS = 5.0
MAX_BYTES = 1 << 30
_WORKER = "openrealm.corpus.sources.page_worker"
# A stopped or swapping process uses no CPU time; by the wall clock it may take this many times as long.
_CLOCK_FACTOR = 60
_QUEUED_PER_WORKER = 4

Page = TypeVar("Page")


class Box:
    """A child process that is replaced when a page kills it."""

    def __init__(self, max_seconds: float = MAX_SECONDS, max_bytes: int = MAX_BYTES) -> None:
        self._limits = (max_seconds, max_bytes)
        self._child: subprocess.Popen[bytes] | None = None
        self._wiki = UNKNOWN

    def ask(self, xml: bytes, wiki: Wiki) -> dict[str, Any]:
        """The answer of `page_worker.answer`, or {"poison": why} if the page killed the child."""
        child = self._child or self._started()
        try:
            if wiki != self._wiki:
                _send(child, json.dumps(wiki.settings()).encode())
                self._wiki = wiki
            _send(child, xml)
            found: dict[str, Any] = json.loads(self._received(child))
        except (OSError, ValueError, EOFError, TimeoutError) as error:
            return {"poison": self._cause_of_death(child, error)}
        return found

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None
            self._wiki = UNKNOWN

    def _started(self) -> subprocess.Popen[bytes]:
        command = subprocesses.command(_WORKER, *map(str, self._limits))
        self._child = child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
            env=subprocesses.environment(),
        )  # fmt: skip
        try:
            self._received(child)
        except (OSError, ValueError, EOFError, TimeoutError) as error:
            self.close()
            raise OpenRealmError(
                f"The process that parses pages exited before it was ready; run {' '.join(command)} to see why."
            ) from error
        return child

    def _received(self, child: subprocess.Popen[bytes]) -> bytes:
        deadline = time.monotonic() + self._limits[0] * _CLOCK_FACTOR
        return _read(child, int(_read(child, 8, deadline)), deadline)

    def _cause_of_death(self, child: subprocess.Popen[bytes], error: Exception) -> str:
        """Why the child died, as a key of `mediawiki`'s reasons."""
        if isinstance(error, TimeoutError):
            self.close()
            return "time"
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)
        code = child.returncode
        self.close()
        return {-signal.SIGPROF: "time", NO_MEMORY: "memory", -signal.SIGKILL: "memory"}.get(code, "crash")


def _send(child: subprocess.Popen[bytes], data: bytes) -> None:
    assert child.stdin is not None
    for part in (b"%08d" % len(data), data):
        view = memoryview(part)
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


def in_boxes(
    pages: Iterable[tuple[Page, bytes | None, Wiki]], num_workers: int, **limits: Any
) -> Iterator[tuple[Page, dict[str, Any]]]:
    """Each page with its answer, in the given order; `limits` are those of `Box`.

    pages  any object, the page's XML, and its wiki; without XML the answer is {}
    """
    boxes = [Box(**limits) for _ in range(num_workers)]
    idle: queue.SimpleQueue[Box] = queue.SimpleQueue()
    for box in boxes:
        idle.put(box)

    def work(xml: bytes | None, wiki: Wiki) -> dict[str, Any]:
        if xml is None:
            return {}
        box = idle.get()
        try:
            return box.ask(xml, wiki)
        finally:
            idle.put(box)

    waiting: deque[tuple[Page, Future[dict[str, Any]]]] = deque()
    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="page")
    try:
        for page, xml, wiki in pages:
            waiting.append((page, pool.submit(work, xml, wiki)))
            if len(waiting) >= num_workers * _QUEUED_PER_WORKER:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)
        for box in boxes:
            box.close()
