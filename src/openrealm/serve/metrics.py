"""What Prometheus may know of a server."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Counters of one server; several servers in one process do not share them.

    >>> metrics = Metrics(num_waiting=lambda: 3, num_updates=lambda: 0)
    >>> metrics.answered("/v1/ask", 200, 0.03)
    >>> "openrealm_waiting 3.0" in metrics.text().decode()
    True
    """

    def __init__(self, *, num_waiting: Callable[[], int], num_updates: Callable[[], int]) -> None:
        """Count from 0.

        num_waiting  questions and texts that wait for the model
        num_updates  versions taken up since the start
        """
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("openrealm_requests", "Requests answered.", ("route", "status"), registry=registry)
        self._seconds = Histogram(
            "openrealm_request_seconds", "Time to answer a request.", ("route",), registry=registry, buckets=_SECONDS
        )
        self._sizes = Histogram(
            "openrealm_batch_size", "Questions or texts computed at once.", registry=registry, buckets=_SIZES
        )
        self._answers = Counter("openrealm_answers", "Questions answered.", ("outcome",), registry=registry)
        Gauge("openrealm_waiting", "Questions and texts that wait.", registry=registry).set_function(num_waiting)
        Gauge("openrealm_updates", "Versions taken up since the start.", registry=registry).set_function(num_updates)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request; status 0 stands for a client that had gone."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def computed(self, num_items: int) -> None:
        """Count a batch."""
        self._sizes.observe(num_items)

    def outcome(self, kind: str) -> None:
        """Count an answer: "found", "not_found" or "remembered"."""
        self._answers.labels(kind).inc()

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self._registry)
