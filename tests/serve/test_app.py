"""Every route and every limit of the server, over real connections and with a real model."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra `serve`")

from openrealm.serve.limits import Limits
from openrealm.serve.versions import DocumentsOrigin, RunOrigin, Versions

QUESTION = "Where is the library?"
LIMITS = Limits(
    max_body_bytes=2_000,
    max_depth=4,
    max_questions=3,
    max_question_characters=200,
    max_k=20,
    max_texts=4,
    max_text_characters=300,
)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory, answering_model: Path) -> Versions:
    docs = tmp_path_factory.mktemp("docs") / "library-docs"
    docs.mkdir()
    (docs / "library.md").write_text("# The library\n\nThe library stands in the old mill. It opens on Friday.\n")
    days = "".join(f"## Day {n}\n\nAnna bakes rye bread in the village on day {n}.\n\n" for n in range(8))
    (docs / "bread.md").write_text(f"# Bread\n\n{days}")
    kept = tmp_path_factory.mktemp("kept")
    return Versions(DocumentsOrigin(str(docs), kept, model=str(answering_model)), poll_seconds=0)


@pytest.fixture(scope="module")
def client(versions: Versions, serve: Any) -> Iterator[Any]:
    with serve(versions, LIMITS) as client:
        yield client


def test_a_question_is_answered_with_its_passage_and_version(client: Any, versions: Versions) -> None:
    reply = client.post("/v1/ask", {"question": f"  {QUESTION} ", "k": 2, "threshold": 0.0})
    assert reply.status == 200
    (answer,) = reply.body["answers"]
    source = answer["source"]
    assert answer["question"] == QUESTION
    assert answer["found"]
    assert answer["text"] == source["text"][source["answer_start"] : source["answer_end"]]
    assert len(answer["runners_up"]) == 1
    assert source["origin"].keys() == {"article_id", "position", "part"}
    info = client.get("/v1/info").body
    assert answer["version"].items() <= info["versions"][0].items()
    assert answer["index_version"] == answer["version"]["index"] == versions.loaded[0][0].answerer.index_version


def test_answers_are_those_of_the_python_api(client: Any, versions: Versions) -> None:
    questions = [QUESTION, "Who bakes?", QUESTION]
    answers = client.post("/v1/ask", {"questions": questions}).body["answers"]
    expected = versions.loaded[0][0].answerer.ask(questions)
    assert [answer["question"] for answer in answers] == questions
    for answer, same in zip(answers, expected, strict=True):
        assert same.source is not None
        assert answer["text"] == same.text
        assert answer["source"]["passage_id"] == same.source.passage_id
        assert answer["confidence"] == pytest.approx(same.confidence, abs=1e-4)


def test_below_the_threshold_nothing_is_found_but_the_passages_are_there(client: Any) -> None:
    (answer,) = client.post("/v1/ask", {"question": QUESTION, "threshold": 1.0}).body["answers"]
    assert (answer["found"], answer["text"]) == (False, "")
    assert answer["source"]["answer"]
    assert answer["runners_up"]


def test_more_passages_than_there_are_may_be_asked_for(client: Any, versions: Versions) -> None:
    num_passages = len(versions.loaded[0][0].answerer.corpus)
    assert num_passages < 20
    found = client.post("/v1/search", {"question": QUESTION, "k": 20}).body["results"][0]["passages"]
    (answer,) = client.post("/v1/ask", {"question": QUESTION, "k": 20}).body["answers"]
    assert len(found) <= num_passages
    assert 1 + len(answer["runners_up"]) <= num_passages


@pytest.mark.parametrize("system", ["best", "dense", "bm25"])
def test_passages_are_found_without_reading_by_each_system(client: Any, system: str) -> None:
    reply = client.post("/v1/search", {"questions": [QUESTION, "Who bakes bread?"], "k": 2, "system": system})
    first, second = reply.body["results"]
    assert first["version"]["system"] == system
    assert first["by"] == {"best": "fused"}.get(system, system)
    assert [passage["article_id"] for passage in second["passages"]].count("bread.md") >= (system == "bm25")


def test_texts_are_embedded_by_both_towers(client: Any, versions: Versions) -> None:
    model = versions.loaded[0][0].answerer.model
    texts = ["The library is old.", QUESTION]
    for kind, encode in (("query", model.encode_query), ("passage", model.encode_passage)):
        body = client.post("/v1/embed", {"texts": texts, "kind": kind}).body
        assert body["dim"] == 16
        assert body["vectors"] == [pytest.approx(vector, abs=1e-5) for vector in encode(texts).tolist()]
    with_title = client.post("/v1/embed", {"texts": texts[:1], "titles": ["The library"]}).body["vectors"]
    assert with_title[0] == pytest.approx(model.encode_passage([("The library", texts[0])])[0].tolist(), abs=1e-5)


def test_embeddings_are_those_of_openai(client: Any, versions: Versions) -> None:
    model = versions.loaded[0][0].answerer.model
    expected = model.encode_query(QUESTION).tolist()
    body = client.post("/v1/embeddings", {"input": QUESTION, "model": "query"}).body
    assert body["data"][0]["embedding"] == pytest.approx(expected, abs=1e-5)
    assert body["usage"]["prompt_tokens"] == len(model.tokenizer.encode(QUESTION)[0])
    packed = client.post("/v1/embeddings", {"input": [QUESTION], "model": "query", "encoding_format": "base64"}).body
    vector = struct.unpack("<16f", base64.b64decode(packed["data"][0]["embedding"]))
    assert vector == pytest.approx(expected, abs=1e-5)


def test_a_passage_and_the_article_around_it_can_be_read(client: Any) -> None:
    (answer,) = client.post("/v1/ask", {"question": "Who bakes bread?", "k": 20, "threshold": 0}).body["answers"]
    read = next(p for p in [answer["source"], *answer["runners_up"]] if p["origin"]["article_id"] == "bread.md")
    passage = client.get(f"/v1/passages/{read['passage_id']}").body
    assert (passage["text"], passage["title"], passage["article_id"]) == (read["text"], read["title"], "bread.md")
    whole = client.get(f"/v1/source?passage_id={read['passage_id']}&around=100000").body
    assert [piece["text"] for piece in whole["passages"] if piece["is_cited"]] == [read["text"]]
    assert not whole["has_more_before"]
    assert not whole["has_more_after"]
    assert len(whole["passages"]) > 1
    assert all(a["end"] <= b["start"] for a, b in zip(whole["passages"], whole["passages"][1:], strict=False))
    alone = client.get(f"/v1/source?passage_id={read['passage_id']}&around=0").body
    assert len(alone["passages"]) == 1
    assert alone["has_more_before"] or alone["has_more_after"]


def test_the_server_tells_what_it_serves(client: Any) -> None:
    assert client.get("/healthz").body == {"status": "ok"}
    info = client.get("/v1/info").body
    assert info["name"] == "library-docs", "clients need not know this machine's folders"
    assert [system["name"] for system in info["systems"]] == ["best", "dense", "bm25"]
    assert (info["default_system"], info["threshold"], info["has_utility"]) == ("best", 0.0, False)
    assert info["limits"]["max_questions"] == LIMITS.max_questions
    counters = client.get("/metrics").body
    assert 'openrealm_requests_total{route="/healthz",status="200"} 1.0' in counters
    described = client.get("/openapi.json").body
    assert described["paths"].keys() == {
        "/healthz", "/metrics", "/v1/ask", "/v1/embed", "/v1/embeddings", "/v1/info", "/v1/passages/{passage_id}",
        "/v1/search", "/v1/source",
    }  # fmt: skip
    assert described["components"]["schemas"]["AskRequest"]["examples"]


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"question": "x" * 3_000}, 413, "at most 2,000 bytes"),
        ({"question": "x" * 201}, 422, "201 characters"),
        ({"question": "?", "k": 21}, 422, "at most 20"),
        ({"question": "?", "k": 0}, 422, "k must be greater than or equal to 1."),
        ({"question": "?", "k": True}, 422, "k must be a valid integer."),
        ({"question": "?", "k": 2.5}, 422, "k must be a valid integer."),
        ({"question": "?", "threshold": 2}, 422, "threshold must be less"),
        ({"questions": ["?"] * 4}, 422, "at most 3"),
        ({"questions": []}, 422, "questions: "),
        ({"question": "?", "questions": ["?"]}, 422, "ive either"),
        ({}, 422, "ive either"),
        ({"question": " \n"}, 422, "is empty"),
        ({"question": 3}, 422, "question must be a valid string."),
        ({"question": "?", "path": "/etc/passwd"}, 422, "path is not a field"),
        ({"question": [[[[["?"]]]]]}, 422, "deeper than the 4 levels"),
        ({"question": "?", "system": "../realm"}, 404, "choose from best"),
        ({"question": "?", "version": "none"}, 404, "GET /v1/info"),
        ([], 422, "The body must be "),
        ('{"question": "?", "threshold": NaN}', 422, "NaN is not a number"),
        ('{"question": "?", "threshold": 1e999}', 422, "too large a number"),
        ('{"question": "?", "question": "?"}', 422, "stands twice"),
        ('{"question": "\\ud800"}', 422, "surrogate"),
        ("[" * 1_900, 422, "deeper than the 4 levels"),
        (b'{"question": "\xff"}', 422, "UTF-8"),
        ("", 422, "not valid JSON"),
    ],
)
def test_what_the_limits_do_not_allow_is_refused_in_one_sentence(
    client: Any, body: Any, status: int, sentence: str
) -> None:
    raw = body if isinstance(body, bytes | str) else json.dumps(body)
    reply = client.send("POST", "/v1/ask", raw, {"Content-Type": "application/json"})
    assert reply.status == status
    assert sentence in reply.body["error"]
    assert reply.body.keys() == {"error"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/ask", None, 405),
        ("GET", "/v1/nothing", None, 404),
        ("GET", "/page/../app.py", None, 404),
        ("GET", "/page/%2e%2e/app.py", None, 404),
        ("GET", "/..%2f..%2fetc/passwd", None, 404),
        ("GET", "/v1/passages/..%2f..%2fapp.py", None, 404),
        ("GET", "/v1/passages/" + "0" * 32, None, 404),
        ("GET", "/v1/passages/" + "g" * 32, None, 422),
        ("GET", "/v1/source?passage_id=/etc/passwd", None, 422),
        ("GET", "/v1/source", None, 422),
        ("POST", "/v1/embed", {"texts": []}, 422),
        ("POST", "/v1/embed", {"texts": ["a"] * 5}, 422),
        ("POST", "/v1/embed", {"texts": ["a" * 301]}, 422),
        ("POST", "/v1/embed", {"texts": ["a"], "titles": []}, 422),
        ("POST", "/v1/embed", {"texts": ["a"], "titles": ["b"], "kind": "query"}, 422),
        ("POST", "/v1/embeddings", {"input": 3}, 422),
        ("POST", "/v1/embeddings", {"input": "a", "model": "text-embedding-3-small"}, 422),
        ("POST", "/v1/search", {"question": "?", "k": 21}, 422),
    ],
)
def test_other_requests_are_refused_too(client: Any, method: str, path: str, body: Any, status: int) -> None:
    headers = {"Content-Type": "application/json"} if body is not None else {}
    reply = client.send(method, path, None if body is None else json.dumps(body), headers)
    assert reply.status == status
    assert reply.body["error"].endswith(".")
    assert "list[" not in reply.body["error"], "pydantic's names of types"


def test_a_body_that_is_not_declared_as_json_is_refused(client: Any) -> None:
    """Which keeps pages of other sites from sending one without asking first."""
    reply = client.send("POST", "/v1/ask", json.dumps({"question": "?"}), {"Content-Type": "text/plain"})
    assert (reply.status, "application/json" in reply.body["error"]) == (415, True)


def test_texts_without_words_are_embedded(client: Any) -> None:
    assert client.post("/v1/embed", {"texts": [" ", "\u200b"]}).status == 200


def test_a_token_is_needed_for_what_the_corpus_says(versions: Versions, serve: Any) -> None:
    with serve(versions, token="sesame") as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "sesame"}):
            for reply in (client.get("/v1/info", **headers), client.post("/v1/ask", {"question": "?"}, **headers)):
                assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
                assert "Authorization: Bearer TOKEN" in reply.body["error"]
        assert client.get("/metrics").status == 401
        assert client.get("/healthz").status == 200
        assert client.get("/v1/info", Authorization="Bearer sesame").status == 200


def test_a_client_that_asks_too_often_is_told_when_to_come_again(versions: Versions, serve: Any) -> None:
    with serve(versions, Limits(requests_per_second=0.001)) as client:
        assert client.get("/v1/info").status == 200
        reply = client.get("/v1/info")
        assert reply.status == 429
        assert 0 < int(reply.headers["retry-after"]) <= 1_000
        assert "0.001 requests per second" in reply.body["error"]
        assert client.get("/healthz").status == 200


def test_more_questions_than_may_wait_are_refused_at_once(versions: Versions, serve: Any) -> None:
    with serve(versions, Limits(max_waiting=2)) as client:
        reply = client.post("/v1/ask", {"questions": ["one", "two", "three"]})
        assert (reply.status, int(reply.headers["retry-after"]) >= 1) == (429, True)
        assert client.post("/v1/ask", {"questions": ["one", "two"]}).status == 200


def test_pages_of_other_sites_cannot_reach_a_server_of_this_machine(versions: Versions, serve: Any) -> None:
    from openrealm.serve.gate import LOOPBACK

    with serve(versions, hosts=LOOPBACK) as client:
        assert client.get("/v1/info", Host="evil.example:8000").status == 421
        assert client.get("/v1/info", Host="localhost:8000").status == 200


def test_a_run_is_served_with_its_systems(answering_run: Path, serve: Any) -> None:
    versions = Versions(RunOrigin(answering_run), poll_seconds=0)
    with serve(versions) as client:
        info = client.get("/v1/info").body
        assert [system["name"] for system in info["systems"]] == ["realm", "bm25"]
        assert info["threshold"] is None
        assert info["has_utility"]
        replies = {
            system: client.post("/v1/ask", {"question": "What is the capital?", "system": system}).body["answers"][0]
            for system in ("realm", "bm25")
        }
        assert replies["realm"]["index_version"] != replies["bm25"]["index_version"] == "bm25"
        assert replies["realm"]["source"]["retrieval_utility"] is not None
        refused = client.post("/v1/ask", {"question": "What?", "threshold": 0.5})
        assert (refused.status, "not calibrated" in refused.body["error"]) == (422, True)
