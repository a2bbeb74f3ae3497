"""`openrealm serve` as a process: what it refuses to start with, and how it stops."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra `serve`")

from openrealm.serve.server import listening

COMMAND = [sys.executable, "-m", "openrealm.cli", "serve"]


@pytest.fixture
def process(answering_run: Path) -> Iterator[subprocess.Popen[str]]:
    """A server of a run on any free port; it has started."""
    command = [*COMMAND, str(answering_run), "--port", "0", "--poll", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def _port_of(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"at http://127\.0\.0\.1:(\d+)/", line):
            return int(found[1])
    raise AssertionError("the server did not start")


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_requests_under_way_are_answered_before_it_stops(
    process: subprocess.Popen[str], client_of: Any, number: signal.Signals
) -> None:
    client = client_of(_port_of(process))
    assert client.get("/healthz").status == 200
    replies: list[Any] = []
    questions = [f"What is the capital of {n}?" for n in range(64)]
    asking = threading.Thread(target=lambda: replies.append(client.post("/v1/ask", {"questions": questions})))
    asking.start()
    while client.get("/metrics").body.partition("openrealm_waiting ")[2].startswith("0.0") and asking.is_alive():
        pass
    process.send_signal(number)
    asking.join()
    assert [reply.status for reply in replies] == [200]
    assert len(replies[0].body["answers"]) == 64
    assert process.wait(60) == 0
    assert process.stderr is not None
    assert process.stderr.read() == "Stopped; all requests were answered.\n"
    with pytest.raises(ConnectionRefusedError):
        client.get("/healthz")


def test_it_can_be_stopped_while_it_reads_documents_again(tmp_path: Path, client_of: Any) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "0.md").write_text("# The library\n\nThe library stands in the old mill.\n")
    command = [*COMMAND, "--corpus", str(docs), "--port", "0", "--poll", "0.1"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert client_of(_port_of(process)).get("/healthz").status == 200
        manifest = next(tmp_path.glob("runs/documents/*/corpus/manifest.json"))
        before = manifest.stat().st_ino
        for n in range(1, 400):
            (docs / f"{n}.md").write_text(f"# House {n}\n\n" + f"House {n} stands beside the old mill. " * 40)
        while manifest.stat().st_ino == before:  # then its passages are embedded, which takes longer than the test
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert errors.splitlines()[-1] == "Stopped; all requests were answered."


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--host", "0.0.0.0"], "set OPENREALM_TOKEN, or use --host 127.0.0.1."),
        (["--host", "nowhere.invalid", "--token", "x"], "choose another --port or --host."),
        (["some-run", "--corpus", "docs"], "give either a run or --corpus."),
        (["no-such-run"], "is not a run"),
        (["--corpus", "no-such-folder"], "no-such-folder"),
    ],
)
def test_what_it_cannot_start_with_is_one_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OPENREALM_TOKEN"}
    command = [*COMMAND, "--port", "0", *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert sentence in line


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    taken = listening("127.0.0.1", 0)
    port = str(taken.getsockname()[1])
    done = subprocess.run([*COMMAND, "--port", port], cwd=tmp_path, capture_output=True, text=True, check=False)
    taken.close()
    assert done.returncode == 2
    assert f"port {port} (Address already in use)" in done.stderr


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError(\"No module named 'uvicorn'\", name='uvicorn')\n")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(COMMAND, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "openrealm: Serving needs uvicorn; install it with: pip install 'openrealm[serve]'.\n"
