"""A new version is taken up while questions are asked: none is dropped, and no answer mixes two versions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra `serve`")

from openrealm.serve.limits import Limits
from openrealm.serve.versions import DocumentsOrigin, Versions

_SECONDS = 60


def _write_edition(docs: Path, number: int) -> None:
    for name in ("library", "bread", "mill"):
        (docs / f"{name}.md").write_text(f"# The {name}\n\nThe {name} of edition {number} is in the old village.\n")


def _wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < ends, "the new version was not taken up"
        time.sleep(0.02)


def test_every_answer_is_of_one_edition_while_the_documents_are_rewritten(
    tmp_path: Path, answering_model: Path, serve: Any
) -> None:
    docs, last = tmp_path / "docs", 4
    docs.mkdir()
    _write_edition(docs, 1)
    versions = Versions(
        DocumentsOrigin(str(docs), tmp_path / "kept", model=str(answering_model)), poll_seconds=0.05, num_kept=2
    )
    replies: list[Any] = []
    ended = threading.Event()
    with serve(versions) as client:

        def ask(number: int) -> None:
            n = 0
            while not ended.is_set():
                n += 1
                question = f"Where is the library of {number} {n}?"
                replies.append(client.post("/v1/ask", {"questions": [question, "Who bakes?"], "threshold": 0}))

        askers = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
        for asker in askers:
            asker.start()
        try:
            for number in range(2, last + 1):
                before = versions.loaded[0][0].version.id
                _write_edition(docs, number)
                _wait_until(lambda before=before: versions.loaded[0][0].version.id != before)  # type: ignore[misc]
        finally:
            ended.set()
            for asker in askers:
                asker.join()
        newest = client.post("/v1/ask", {"question": "Where?", "threshold": 0}).body["answers"][0]
        assert f"edition {last}" in newest["source"]["text"]
        loaded = client.get("/v1/info").body["versions"]
        assert [each["is_current"] for each in loaded] == [True, False]
        earlier = client.post("/v1/ask", {"question": "Where?", "threshold": 0, "version": loaded[1]["id"]})
        assert f"edition {last - 1}" in earlier.body["answers"][0]["source"]["text"]

    assert {reply.status for reply in replies} == {200}
    editions: dict[str, set[str]] = {}
    for reply in replies:
        for answer in reply.body["answers"]:
            texts = [passage["text"] for passage in (answer["source"], *answer["runners_up"])]
            found = {text.partition("edition ")[2].partition(" ")[0] for text in texts}
            assert len(found) == 1, "an answer mixes two editions"
            editions.setdefault(answer["version"]["id"], set()).update(found)
    assert all(len(found) == 1 for found in editions.values())
    assert len(editions) >= 2


def test_documents_that_cannot_be_read_leave_the_version_before(
    tmp_path: Path, answering_model: Path, serve: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    _write_edition(docs, 1)
    versions = Versions(DocumentsOrigin(str(docs), tmp_path / "kept", model=str(answering_model)), poll_seconds=0.05)
    with serve(versions, Limits()) as client:
        for path in docs.iterdir():
            path.unlink()
        _wait_until(lambda: versions.update_error != "")
        info = client.get("/v1/info").body
        assert info["update_error"]
        assert client.post("/v1/ask", {"question": "Where is the library?"}).status == 200
    assert "the one before goes on answering" in capfd.readouterr().err
