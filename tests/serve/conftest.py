"""Servers for the tests: the real application behind a real uvicorn, asked over real connections."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True, slots=True)
class Reply:
    """A response; `body` is parsed if it is JSON."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Client:
    """Sends one request per connection to a server on this machine."""

    port: int

    def send(
        self, method: str, path: str, body: bytes | str | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            raw = response.read()
            is_json = response.headers.get_content_type() == "application/json"
            found = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status, json.loads(raw) if is_json else raw.decode(), found)

    def get(self, path: str, **headers: str) -> Reply:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, value: object, **headers: str) -> Reply:
        return self.send("POST", path, json.dumps(value), {"Content-Type": "application/json", **headers})


Serve = Callable[..., contextlib.AbstractContextManager[Client]]


@contextlib.contextmanager
def _serving(app: Any) -> Iterator[Client]:
    import uvicorn

    from openrealm.serve.server import listening

    listener = listening("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Client(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="session")
def client_of() -> Callable[[int], Client]:
    """A client of a server that listens at a port."""
    return Client


@pytest.fixture(scope="session")
def serve() -> Serve:
    """`with serve(versions, limits, token=...) as client:` runs the application in a thread."""

    @contextlib.contextmanager
    def serve(versions: Any, limits: Any = None, **options: Any) -> Iterator[Client]:
        from openrealm.serve.app import create_app

        with _serving(create_app(versions, limits, **options)) as client:
            yield client

    return serve


@pytest.fixture(scope="session")
def answering_model(tmp_path_factory: pytest.TempPathFactory, markdown_backbone: Path) -> Path:
    """The folder of a random model that answers as it is, however badly, in the words of tests/data/markdown."""
    import torch

    from openrealm.model.answering import Answering
    from openrealm.model.realm import Realm

    torch.manual_seed(0)
    model = Realm.from_pretrained(markdown_backbone, title_in_joint=True, projection_dim=16)
    model.add_span_reader()
    model.answering = Answering(confidence_offset=0.3)
    folder = tmp_path_factory.mktemp("model") / "toy"
    model.save_pretrained(folder)
    return folder
