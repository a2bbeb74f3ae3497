"""Micro-batching: what concurrent requests ask of the model is computed together, on one thread.

A batch is whatever waits when the model becomes free, so that a single client never waits for others to come.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from openrealm.serve.limits import Refused

Compute = Callable[[Sequence[Any]], Sequence[Any]]
"""From items to their results, in the same order."""

_SMOOTHING = 0.1


class _Waiting:
    """An item that waits: only items of the same key may share a batch."""

    __slots__ = ("compute", "done", "item", "key")

    def __init__(self, key: Hashable, item: Any, compute: Compute, done: asyncio.Future[Any]) -> None:
        self.key, self.item, self.compute, self.done = key, item, compute, done


class Batcher:
    """Computes items of concurrent requests in batches on a thread of its own.

    >>> async def main():
    ...     batcher = Batcher(max_batch=16, max_waiting=100)
    ...     batcher.start()
    ...     doubled = await batcher.run("double", [1, 2, 3], lambda items: [2 * item for item in items])
    ...     await asyncio.to_thread(batcher.stop)
    ...     return doubled
    >>> asyncio.run(main())
    [2, 4, 6]
    """

    def __init__(
        self,
        *,
        max_batch: int = 16,
        max_waiting: int = 1_024,
        answer_seconds: float = 60.0,
        on_batch: Callable[[int], None] = lambda num_items: None,
    ) -> None:
        """A batcher that is not started.

        max_batch       most items computed at once
        max_waiting     most items that may wait
        answer_seconds  how long a request may wait for all of its items
        on_batch        called with the number of items of each batch
        """
        self._max_batch, self._max_waiting, self._answer_seconds = max_batch, max_waiting, answer_seconds
        self._on_batch = on_batch
        self._queue: deque[_Waiting] = deque()
        self._ready = threading.Condition()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._work, name="openrealm-model", daemon=True)
        self._seconds_per_item = 0.05

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Compute what still waits, and end the thread."""
        with self._ready:
            self._is_stopping = True
            self._ready.notify()
        self._thread.join()

    @property
    def num_waiting(self) -> int:
        """Items that wait for a batch."""
        return len(self._queue)

    async def run(self, key: Hashable, items: Sequence[Any], compute: Compute) -> list[Any]:
        """The results of `items`, computed together with other requests' items of the same key.

        Raises what `compute` raises; Refused (429) if too many items wait, or if the results take too long.
        """
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(key, item, compute, loop.create_future()) for item in items]
        with self._ready:
            if len(self._queue) + len(waiting) > self._max_waiting:
                seconds = math.ceil(len(self._queue) * self._seconds_per_item) or 1
                raise Refused(
                    429,
                    f"{len(self._queue)} questions or texts are waiting, and at most {self._max_waiting} may; "
                    f"try again in {seconds} s.",
                    Retry_After=str(seconds),
                )
            self._queue.extend(waiting)
            self._ready.notify()
        try:
            async with asyncio.timeout(self._answer_seconds):
                return list(await asyncio.gather(*(each.done for each in waiting)))
        except TimeoutError:
            raise Refused(
                429,
                f"The server is busy: there was no answer within {self._answer_seconds:g} s; try again later.",
                Retry_After="10",
            ) from None

    def _work(self) -> None:
        while batch := self._next_batch():
            self._on_batch(len(batch))
            started = time.monotonic()
            _settle(batch, _computed(batch))
            seconds = (time.monotonic() - started) / len(batch)
            self._seconds_per_item += _SMOOTHING * (seconds - self._seconds_per_item)

    def _next_batch(self) -> list[_Waiting]:
        """The item that has waited longest and others of its key; none if the batcher was stopped."""
        with self._ready:
            while True:
                self._ready.wait_for(lambda: self._queue or self._is_stopping)
                if not self._queue:
                    return []
                batch: list[_Waiting] = []
                others: list[_Waiting] = []
                while self._queue and len(batch) < self._max_batch:
                    each = self._queue.popleft()
                    if each.done.cancelled():
                        continue
                    (batch if each.key == (batch or [each])[0].key else others).append(each)
                self._queue.extendleft(reversed(others))
                if batch:
                    return batch


def _computed(batch: Sequence[_Waiting]) -> list[Any]:
    """A result or an exception for each item; if the batch fails, each item is computed by itself."""
    try:
        return list(batch[0].compute([each.item for each in batch]))
    except Exception as error:
        return [error] if len(batch) == 1 else [outcome for each in batch for outcome in _computed([each])]


def _settle(batch: Sequence[_Waiting], outcomes: Sequence[Any]) -> None:
    """Hand results to the requests that wait for them, in their event loop."""

    def hand_over() -> None:
        for each, outcome in zip(batch, outcomes, strict=True):
            if each.done.done():
                continue
            if isinstance(outcome, Exception):
                each.done.set_exception(outcome)
            else:
                each.done.set_result(outcome)

    batch[0].done.get_loop().call_soon_threadsafe(hand_over)
