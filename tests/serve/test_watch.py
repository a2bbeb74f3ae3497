"""The live view: a real run, watched while it is written and afterwards, by a real server."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openrealm import files
from openrealm.cli.main import main
from openrealm.corpus.corpus import Corpus

fastapi = pytest.importorskip("fastapi", reason="fastapi is not installed (pip install 'openrealm[serve]')")
from fastapi.testclient import TestClient  # noqa: E402

from openrealm.serve.watch import watch_app  # noqa: E402

COMMAND = [sys.executable, "-m", "openrealm.cli"]
HERE = "http://127.0.0.1"


def client_of(folder: Path) -> TestClient:
    return TestClient(watch_app(folder), base_url=HERE)


@pytest.fixture
def copied_run(answering_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(answering_run, tmp_path / "toy", ignore=shutil.ignore_patterns(".lock")))


def rows_of(stream: dict[str, Any]) -> list[dict[str, Any]]:
    columns = stream["columns"]
    rows = [{key: values[i] for key, values in columns.items()} for i in range(stream["length"])]
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_page_asks_nobody_else_and_shows_the_details_of_the_report(answering_run: Path) -> None:
    client = client_of(answering_run)
    answer = client.get("/")
    assert answer.status_code == 200
    assert "script-src 'self'; style-src 'self'; connect-src 'self'" in answer.headers["content-security-policy"]
    assert not re.search(r"https?://|<style|style=", answer.text)
    assert "Run details" in answer.text
    loaded = re.findall(r'(?:src|href)="(assets/[^"]+)"', answer.text)
    assert len(loaded) == 4
    for name in loaded:
        asset = client.get("/" + name)
        assert (asset.status_code, len(asset.content) > 500) == (200, True)
        assert asset.headers["content-type"].startswith("text/css" if name.endswith("css") else "text/javascript")


def test_rows_are_those_of_the_files_and_come_once(answering_run: Path) -> None:
    client = client_of(answering_run)
    answer = client.post("/data", json={}).json()
    assert set(answer["streams"]) == {
        f"{stage}/{name}"
        for stage in ("warm_start", "pretrain", "finetune_realm", "finetune_bm25")
        for name in ("metrics", "progress")
    }
    assert rows_of(answer["streams"]["pretrain/metrics"]) == lines(answering_run / "pretrain" / "metrics.jsonl")
    assert {stage["state"] for stage in answer["state"]["stages"]} == {"finished"}
    cursors = {name: stream["cursor"] for name, stream in answer["streams"].items()}
    again = client.post("/data", json={"cursors": cursors}).json()
    assert {(stream["length"], stream["is_reset"]) for stream in again["streams"].values()} == {(0, False)}
    assert again["state"] == answer["state"]


def test_what_was_retrieved_for_a_query_comes_with_its_passages(answering_run: Path) -> None:
    client = client_of(answering_run)
    queries = client.get("/queries").json()["queries"]
    assert len(queries) == 8
    outcome = json.loads((answering_run / "pretrain" / "outcome.json").read_text())
    mean = sum(query["last"] for query in queries) / 8
    assert mean == pytest.approx(outcome["last"]["retrieval_utility"], abs=2e-3)
    corpus = Corpus.open(answering_run / "corpus")
    texts = {passage.text for passage in corpus}
    answer = client.get("/queries/3").json()
    assert [record["step"] for record in answer["records"]] == [0, 4]
    assert answer["passages"]
    assert all(passage["text"] in texts and passage["place"] for passage in answer["passages"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/queries/8", 404),
        ("/queries/-1", 422),
        ("/queries/x", 422),
        ("/queries/" + "9" * 5000, 422),
        ("/assets/uPlot.LICENSE", 404),
        ("/assets/..%2fpage.py", 404),
        ("/assets/%2e%2e/%2e%2e/config.json", 404),
        ("/config.json", 404),
    ],
)
def test_nothing_else_is_served(answering_run: Path, path: str, status: int) -> None:
    assert client_of(answering_run).get(path).status_code == status


@pytest.mark.parametrize(
    "body", ["", "{", "[]", '{"cursors": 5}', '{"cursors": {"pretrain/metrics": "' + "9" * 65 + '"}}', "[" * 10_000]
)
def test_a_request_that_is_not_the_pages_is_refused(answering_run: Path, body: str) -> None:
    answer = client_of(answering_run).post("/data", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)


def test_a_page_elsewhere_cannot_ask_through_a_name_of_its_own(answering_run: Path) -> None:
    assert client_of(answering_run).get("/", headers={"Host": "evil.example"}).status_code == 400


def test_a_run_that_is_removed_or_damaged_is_reported(copied_run: Path) -> None:
    client = client_of(copied_run)
    (copied_run / "pretrain" / "heldout.json").write_text("{")
    damaged = client.get("/queries")
    assert damaged.status_code == 409
    assert "heldout.json" in damaged.json()["error"]
    shutil.rmtree(copied_run / "corpus")
    shutil.rmtree(copied_run / "pretrain")
    assert client.get("/queries").json() == {"queries": []}
    assert "pretrain/metrics" not in client.post("/data", json={}).json()["streams"]
    shutil.rmtree(copied_run)
    gone = client.post("/data", json={})
    assert gone.status_code == 404
    assert "is not a run" in gone.json()["error"]


def test_without_the_corpus_passages_have_numbers(copied_run: Path) -> None:
    shutil.rmtree(copied_run / "corpus")
    passages = client_of(copied_run).get("/queries/0").json()["passages"]
    assert all(passage["title"].startswith("passage ") for passage in passages)


class Server:
    """`openrealm watch`, or another command, as a process of its own."""

    def __init__(self, folder: Path, *command: str) -> None:
        command = (*COMMAND, *(command or ("watch",)), str(folder), "--port", "0")
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        said = self.process.stderr.readline()
        found = re.fullmatch(r"(?:Watching|Serving) .+ at (http://127\.0\.0\.1:\d+/) \(Ctrl-C stops\)\.\n", said)
        assert found is not None, said + self.process.stderr.read()
        self.url = found[1]

    def ask(self, what: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + what, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@pytest.fixture
def watched() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(folder: Path, *command: str) -> Server:
        servers.append(Server(folder, *command))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.communicate()


def test_a_training_is_followed_row_by_row_while_it_runs(copied_run: Path, watched: Callable[..., Server]) -> None:
    """What was seen adds up to the files that training leaves; training starts over while the page is open."""
    server = watched(copied_run)
    longer = ["--set", "pretrain.num_steps=24", "--set", "pretrain.eval_steps=12"]
    training = subprocess.Popen(
        [*COMMAND, "pretrain", "--run", str(copied_run), *longer], stderr=subprocess.PIPE, text=True
    )
    cursors: dict[str, str] = {}
    seen: dict[str, list[dict[str, Any]]] = {}
    states, num_parts = set(), 0
    is_last = False
    while True:
        answer = server.ask("data", {"cursors": cursors})
        for name, stream in answer["streams"].items():
            cursors[name] = stream["cursor"]
            seen[name] = ([] if stream["is_reset"] else seen.get(name, [])) + rows_of(stream)
            num_parts += name == "pretrain/metrics" and stream["length"] > 0
        states |= {stage["state"] for stage in answer["state"]["stages"] if stage["name"] == "pretrain"}
        if is_last:
            break
        is_last = training.poll() is not None
        time.sleep(0.2)
    _, said = training.communicate()
    assert training.returncode == 0, said
    for name in ("metrics", "progress"):
        assert seen[f"pretrain/{name}"] == lines(copied_run / "pretrain" / f"{name}.jsonl")
    assert [row["step"] for row in seen["pretrain/metrics"] if row["split"] == "train"] == list(range(1, 25))
    assert {"running", "finished"} <= states
    assert num_parts > 1, "not all at once"
    assert [record["step"] for record in server.ask("queries/0")["records"]] == [0, 24]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_server_stops_when_asked_and_leaves_the_run_alone(
    copied_run: Path, watched: Callable[..., Server], how: signal.Signals
) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied_run.rglob("*")}
    server = watched(copied_run)
    server.ask("data", {})
    server.ask("queries/1")
    server.process.send_signal(how)
    assert server.process.wait(30) in (0, 130, 143)
    assert {path: path.stat().st_mtime_ns for path in copied_run.rglob("*")} == before


def test_a_run_that_does_not_exist_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["watch", "nowhere"]) == 2
    assert "runs/nowhere is not a run" in capsys.readouterr().err
    assert main(["watch"]) == 2
    assert "runs has no run; start one with `openrealm run FOLDER`" in capsys.readouterr().err
    files.write_bytes(tmp_path / "config.json", b"{}")
    assert main(["watch", str(tmp_path), "--port", "70000"]) == 2


def test_the_server_of_a_run_shows_its_training_too(copied_run: Path, watched: Callable[..., Server]) -> None:
    server = watched(copied_run, "serve", "--watch")
    with urllib.request.urlopen(server.url + "watch/", timeout=30) as answer:
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert b'src="assets/page.js"' in answer.read()
    assert "pretrain/metrics" in server.ask("watch/data", {})["streams"]
    assert server.ask("v1/info")["name"] == copied_run.name


@pytest.mark.parametrize("words", [["--corpus", "docs"], ["--host", "0.0.0.0"], ["--token", "secret"]])
def test_a_training_is_not_shown_to_other_machines(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--watch", *words]) == 2
    assert "use it with a run, on a loopback address and without a token" in capsys.readouterr().err
