"""Parses pages in child processes with limits on time and memory, so that no page can stop the run.

Answers come back in the order of the pages, for any number of processes.
"""

from __future__ import annotations

import dataclasses
import json
import queue
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from openrealm.corpus.box import Box
from openrealm.corpus.sources.namespaces import Wiki
from openrealm.types import Limits

_QUEUED_PER_WORKER = 4

Page = TypeVar("Page")


class PageBox(Box):
    """A child process that parses pages."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            "openrealm.corpus.sources.page_worker", limits.max_page_seconds, limits.max_page_memory_mb << 20
        )
        self._bounds = dataclasses.asdict(limits)

    def parse(self, xml: bytes, wiki: Wiki) -> dict[str, Any]:
        """The answer of `page_worker.answer`, or {"poison": why}, see `Box.ask`."""
        return self.ask(xml, setting=json.dumps({"wiki": wiki.settings(), "limits": self._bounds}).encode())


def in_boxes(
    pages: Iterable[tuple[Page, bytes | None, Wiki]], num_workers: int, limits: Limits
) -> Iterator[tuple[Page, dict[str, Any]]]:
    """Each page with its answer, in the given order.

    pages  any object, the page's XML, and its wiki; without XML the answer is {}
    """
    boxes = [PageBox(limits) for _ in range(num_workers)]
    idle: queue.SimpleQueue[PageBox] = queue.SimpleQueue()
    for box in boxes:
        idle.put(box)

    def work(xml: bytes | None, wiki: Wiki) -> dict[str, Any]:
        if xml is None:
            return {}
        box = idle.get()
        try:
            return box.parse(xml, wiki)
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
