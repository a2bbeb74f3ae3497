"""The builder's side of its worker processes: which one gets which order, and what happens when one dies."""

from __future__ import annotations

import json
import queue
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any

from openrealm import errors, memory, subprocesses
from openrealm.errors import OpenRealmError, WorkerDied

# Orders in flight per worker: one that it works on, and one that is ready.
_ORDERS_PER_WORKER = 2
_ATTEMPTS = 2
_WORKER = "openrealm.corpus.worker"
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

Process = subprocess.Popen[bytes]


class Workers:
    """Worker processes, started with the first order and killed on leaving the block."""

    def __init__(self, num_workers: int, setup: dict[str, Any]) -> None:
        """`setup` is sent to each worker first, as JSON."""
        self._num_workers, self._setup = num_workers, json.dumps(setup).encode() + b"\n"
        self._threads = ThreadPoolExecutor(num_workers, thread_name_prefix="corpus-worker")
        self._idle: queue.SimpleQueue[Process | None] = queue.SimpleQueue()
        for _ in range(num_workers):
            self._idle.put(None)
        self._all: list[Process] = []
        self._closed = False

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        for process in self._all:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._all:
            process.communicate()

    def do(self, orders: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Replies as they arrive; orders are drawn only as fast as they are carried out.

        Raises what a worker raised; WorkerDied when the same order killed two workers.
        """
        waiting: set[Future[dict[str, Any]]] = set()
        for order in orders:
            waiting.add(self._threads.submit(self._reply, order))
            if len(waiting) >= _ORDERS_PER_WORKER * self._num_workers:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)

    def _reply(self, order: dict[str, Any]) -> dict[str, Any]:
        line = json.dumps(order).encode() + b"\n"
        ends = []
        for _ in range(_ATTEMPTS):
            process = self._idle.get() or self._started()
            answer = _reply_to(process, line)
            if answer.endswith(b"\n"):
                memory.note_workers(*(worker.pid for worker in self._all))
                self._idle.put(process)
                return _checked(json.loads(answer))
            self._idle.put(None)
            ends.append(_end_of(process))
            if self._closed:
                break
        raise WorkerDied(
            f"Worker processes of the corpus build died while working on shard {order['shard']} "
            f"({'; '.join(ends)}); if memory ran out, use fewer of them (num_threads); then rerun the "
            "command: finished shards are kept."
        )

    def _started(self) -> Process:
        process = subprocess.Popen(
            subprocesses.command(_WORKER),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=subprocesses.environment(**_ONE_THREAD),
            process_group=0,  # Ctrl-C goes to the builder, which ends its workers
        )
        self._all.append(process)
        if self._closed:
            process.kill()
        _send(process, self._setup)
        return process


def _reply_to(process: Process, line: bytes) -> bytes:
    """The worker's reply as a line; empty or cut short if it has died."""
    assert process.stdout is not None
    return process.stdout.readline() if _send(process, line) else b""


def _send(process: Process, line: bytes) -> bool:
    assert process.stdin is not None
    try:
        process.stdin.write(line)
        process.stdin.flush()
    except OSError:
        return False
    return True


def _checked(reply: dict[str, Any]) -> dict[str, Any]:
    if "error" in reply:
        kind = getattr(errors, reply["error"], OpenRealmError)
        raise kind(reply["message"])
    return reply


def _end_of(process: Process) -> str:
    code = process.wait()
    return f"killed by signal {-code}" if code < 0 else f"exited with code {code}"
