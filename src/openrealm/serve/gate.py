"""What every request passes before the application sees it: host, token, rate, and a body that is bounded JSON."""

from __future__ import annotations

import asyncio
import hmac
import json
import math
import re
import time
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openrealm.progress import visible
from openrealm.serve.limits import Limits, RateLimiter, Refused
from openrealm.serve.metrics import Metrics
from openrealm.stored import parsed
from openrealm.text.surrogates import has_surrogates

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_GUARDED = ("/v1/", "/metrics")
_MAX_DISCARDED = 8  # times the longest body
_WITH_BODY = ("POST", "PUT", "PATCH")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Gate:
    """ASGI middleware that refuses what `Limits` do not allow, and counts what is answered."""

    def __init__(
        self, app: ASGIApp, *, limits: Limits, metrics: Metrics, token: str | None = None, hosts: frozenset[str]
    ) -> None:
        """Guard `app`.

        token  bearer token that requests to /v1/ and /metrics must carry, if any
        hosts  names that the Host header may have, without port; empty allows all. A page elsewhere can make a browser
               resolve its own name to this machine, but not change this header
        """
        self._app, self._limits, self._metrics, self._hosts = app, limits, metrics, hosts
        self._token = None if token is None else token.encode()
        rate = limits.requests_per_second
        self._limiter = None if rate is None else RateLimiter(rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        try:
            self._check_head(scope)
            body = await self._body(scope, receive)
            if body is not None:
                await self._app(scope, _replayed(body, receive), answer)
        except Refused as error:
            await _refuse(error, scope, answer)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.answered(route, status, time.monotonic() - started)

    def _check_head(self, scope: Scope) -> None:
        """Raise Refused for a request from another site, without the token, or beyond the rate."""
        headers = Headers(scope=scope)
        host = re.sub(r":\d*$", "", headers.get("host", "").lower())
        if self._hosts and host not in self._hosts:
            raise Refused(421, f"This server is not {visible(host)[:80] or 'without a name'}; use its address.")
        if not scope["path"].startswith(_GUARDED):
            return
        if self._token is not None:
            kind, _, given = headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("latin-1"), self._token):
                raise Refused(
                    401, "This server needs its token: send the header Authorization: Bearer TOKEN.",
                    WWW_Authenticate="Bearer",
                )  # fmt: skip
        if self._limiter is not None:
            client = (scope.get("client") or ("unknown",))[0]
            if wait := self._limiter.wait_for(client):
                seconds = math.ceil(wait)
                rate = f"{self._limits.requests_per_second:g} requests per second"
                raise Refused(429, f"At most {rate} are allowed; try again in {seconds} s.", Retry_After=str(seconds))

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body; None if the client has gone. Raises Refused where it is too long, too slow or not JSON."""
        most, headers = self._limits.max_body_bytes, Headers(scope=scope)
        sentence = f"The body is too long: at most {most:,} bytes are allowed."
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared[:20]) > _MAX_DISCARDED * most:
            raise Refused(413, sentence, Connection="close")
        parts: list[bytes] = []
        num_bytes, more = 0, True
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                # What is too long is read to its end, within limits: most clients look for an answer only then.
                while more and num_bytes <= _MAX_DISCARDED * most:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    part = message.get("body", b"")
                    num_bytes += len(part)
                    more = message.get("more_body", False)
                    if num_bytes <= most:
                        parts.append(part)
        except TimeoutError:
            seconds = f"{self._limits.body_seconds:g} s"
            raise Refused(408, f"The body did not arrive within {seconds}.", Connection="close") from None
        if num_bytes > most:
            raise Refused(413, sentence, **({"Connection": "close"} if more else {}))
        body = b"".join(parts)
        if scope["method"] in _WITH_BODY and scope["path"].startswith("/v1/"):
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                raise Refused(415, "The body must be JSON; send the header Content-Type: application/json.")
            check_json(body, self._limits.max_depth)
        return body


def check_json(body: bytes, max_depth: int) -> None:
    """Raise Refused (422) unless `body` is JSON without NaN, infinities, repeated keys or lone surrogates.

    max_depth  deepest nesting of arrays and objects

    >>> check_json(b'{"question": "Where?"}', 2)
    >>> check_json(b"[[[]]]", 2)
    Traceback (most recent call last):
        ...
    openrealm.serve.limits.Refused: The body is nested deeper than the 2 levels that are allowed.
    """
    depth = deepest = 0
    for bracket in re.findall(rb"[\[\]{}]", _STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    if deepest > max_depth:
        raise Refused(422, f"The body is nested deeper than the {max_depth} levels that are allowed.")
    try:
        text = body.decode()
        value = parsed(text)
    except (ValueError, RecursionError) as error:
        raise Refused(422, f"The body is not valid JSON in UTF-8: {visible(str(error))[:200]}.") from None
    if "\\u" in text and has_surrogates(json.dumps(value, ensure_ascii=False)):
        raise Refused(422, "The body holds half of a surrogate pair, which is no character.")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A receiver that hands over `body` first."""
    is_given = False

    async def replay() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(error: Refused, scope: Scope, send: Send) -> None:
    from starlette.responses import JSONResponse

    response: Any = JSONResponse({"error": error.sentence}, error.status, error.headers)
    await response(scope, _nothing, send)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
