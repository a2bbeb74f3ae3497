"""Questions to the server as of a day."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra `serve`")

from openrealm.serve.versions import DocumentsOrigin, Versions


def test_only_passages_that_are_valid_on_the_day_are_found(tmp_path: Path, answering_model: Path, serve: Any) -> None:
    rows = [
        {"title": "The mill", "text": "The old mill is a library.", "valid_to": "2019-05-31"},
        {
            "title": "The mill",
            "text": "The old mill is a bakery.",
            "valid_from": "2019-06-01",
            "valid_to": "2020-12-31",
        },
    ]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    versions = Versions(DocumentsOrigin(str(source), tmp_path / "kept", model=str(answering_model)), poll_seconds=0)
    with serve(versions) as client:
        assert client.get("/v1/info").body["corpus"]["has_dates"] is True
        for day, word in (("2018-01-01", "library"), ("2019-06-01", "bakery")):
            asked = {"question": "What is the mill?", "as_of": day}
            for answer in client.post("/v1/ask", {**asked, "threshold": 0}).body["answers"]:
                assert word in answer["source"]["text"]
                assert answer["runners_up"] == []
            (found,) = client.post("/v1/search", asked).body["results"]
            assert [word in passage["text"] for passage in found["passages"]] == [True]
        for day, sentence in (
            ("2021-01-01", "No passage is valid"),
            ("2019-02-31", "not a date"),
            ("today", "as_of: "),
        ):
            reply = client.post("/v1/ask", {"question": "What is the mill?", "as_of": day})
            assert (reply.status, sentence in reply.body["error"]) == (422, True)
