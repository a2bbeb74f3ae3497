"""Concurrent items are computed together, in order, and one bad item spoils only its own request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from openrealm.serve.batching import Batcher
from openrealm.serve.limits import RateLimiter, Refused


def test_what_waits_while_the_model_is_busy_is_computed_together() -> None:
    sizes: list[int] = []
    free = threading.Event()

    def double(items: Sequence[int]) -> list[int]:
        free.wait(10)
        return [2 * item for item in items]

    async def main() -> list[list[int]]:
        batcher = Batcher(max_batch=4, on_batch=sizes.append)
        batcher.start()
        requests = [asyncio.create_task(batcher.run("double", [n, -n], double)) for n in range(5)]
        await asyncio.sleep(0.05)
        free.set()
        found = await asyncio.gather(*requests)
        await asyncio.to_thread(batcher.stop)
        return found

    assert asyncio.run(main()) == [[2 * n, -2 * n] for n in range(5)]
    assert sum(sizes) == 10
    assert max(sizes) == 4


def test_items_of_different_keys_never_share_a_batch() -> None:
    seen: list[list[str]] = []

    def note(items: Sequence[str]) -> list[str]:
        seen.append(list(items))
        return list(items)

    async def main() -> None:
        batcher = Batcher()
        requests = [asyncio.create_task(batcher.run(key, [f"{key}{n}"], note)) for n in range(6) for key in "ab"]
        await asyncio.sleep(0)
        batcher.start()
        await asyncio.gather(*requests)
        await asyncio.to_thread(batcher.stop)

    asyncio.run(main())
    assert seen == [[f"a{n}" for n in range(6)], [f"b{n}" for n in range(6)]]


def test_an_item_that_fails_fails_alone() -> None:
    def invert(items: Sequence[int]) -> list[float]:
        return [1 / item for item in items]

    async def main() -> list[object]:
        batcher = Batcher()
        requests = [asyncio.create_task(batcher.run("invert", [n], invert)) for n in (1, 0, 2)]
        await asyncio.sleep(0)
        batcher.start()
        found = await asyncio.gather(*requests, return_exceptions=True)
        await asyncio.to_thread(batcher.stop)
        return list(found)

    first, second, third = asyncio.run(main())
    assert (first, third) == ([1.0], [0.5])
    assert isinstance(second, ZeroDivisionError)


def test_a_request_that_waits_too_long_is_refused_and_not_computed() -> None:
    computed: list[int] = []

    async def main() -> None:
        batcher = Batcher(answer_seconds=0.05)
        with pytest.raises(Refused) as refused:
            await batcher.run("note", [1], lambda items: computed.extend(items) or items)
        assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "10")
        batcher.start()
        await batcher.run("note", [2], lambda items: computed.extend(items) or items)
        await asyncio.to_thread(batcher.stop)

    asyncio.run(main())
    assert computed == [2]


def test_a_rate_allows_bursts_and_no_more_than_itself_in_the_long_run() -> None:
    now = 0.0
    limiter = RateLimiter(2.0, clock=lambda: now)
    allowed = 0
    for _ in range(1_000):
        now += 0.01
        allowed += limiter.wait_for("a") == 0
    assert 20 <= allowed <= 24
    assert limiter.wait_for("b") == 0
