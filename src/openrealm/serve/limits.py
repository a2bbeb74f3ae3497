"""What the server allows a client, and how it refuses the rest."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_MAX_CLIENTS = 10_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on requests. Exceeding one is answered with 408, 413, 422 or 429, and never by more work.

    max_body_bytes           longest body of a request
    max_depth                deepest nesting of its JSON
    max_questions            questions of one request
    max_question_characters  longest question
    max_k                    passages read for a question, or found for it
    max_texts                texts to embed in one request
    max_text_characters      longest text to embed
    max_waiting              questions and texts that wait for the model, over all clients
    body_seconds             time for a body to arrive
    answer_seconds           time that a request may wait for its answer
    requests_per_second      of one client, with bursts of twice as many; None means no limit

    >>> Limits(max_questions=4).max_questions
    4
    """

    max_body_bytes: int = 1 << 20
    max_depth: int = 16
    max_questions: int = 64
    max_question_characters: int = 2_000
    max_k: int = 50
    max_texts: int = 256
    max_text_characters: int = 10_000
    max_waiting: int = 1_024
    body_seconds: float = 15.0
    answer_seconds: float = 60.0
    requests_per_second: float | None = None


class Refused(Exception):
    """A request that is answered with an error: an HTTP status, one sentence, and headers."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class RateLimiter:
    """A token bucket per client: `rate` requests per second, and bursts of twice as many.

    >>> limiter = RateLimiter(1.0, clock=lambda: 0.0)
    >>> [limiter.wait_for("10.0.0.1") for _ in range(3)]
    [0.0, 0.0, 1.0]
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._burst = max(1.0, 2 * rate)
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_for(self, client: str) -> float:
        """Take a request of a client: 0 if it is allowed, else the seconds after which the next one is."""
        now = self._clock()
        left, before = self._clients.get(client, (self._burst, now))
        left = min(self._burst, left + (now - before) * self._rate)
        allowed = left >= 1
        self._clients[client] = (left - 1 if allowed else left, now)
        self._clients.move_to_end(client)
        if len(self._clients) > _MAX_CLIENTS:
            self._clients.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._rate
