"""Runs the application until it is asked to stop; requests under way are answered first."""

from __future__ import annotations

import ipaddress
import signal
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from openrealm.errors import BadInput

_BACKLOG = 2_048


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on `host`.

    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 stands for any free one. Raises BadInput where that is not possible."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(_BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput(
            f"Nothing can listen at {host}, port {port} ({reason}); choose another --port or --host."
        ) from None
    return found


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_start()


def run(app: FastAPI, listener: socket.socket, *, stop_seconds: float, on_start: Callable[[], None]) -> None:
    """Serve until SIGTERM, a hang-up or Ctrl-C. A second one ends it at once.

    stop_seconds  how long requests under way may take then
    on_start      called once requests are answered
    """
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        proxy_headers=False,  # anyone could claim another client's address
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(stop_seconds),
        backlog=_BACKLOG,
    )
    server = _Server(config, on_start)
    # uvicorn raises a signal that it has caught again at the end, which `interrupt` then tells all threads.
    before = signal.signal(signal.SIGHUP, lambda _number, frame: server.handle_exit(signal.SIGTERM, frame))
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:  # raised again by uvicorn once it has stopped
        pass
    finally:
        signal.signal(signal.SIGHUP, before)
        listener.close()
