"""The routes of the server: what clients can ask for, in terms of `schemas` and of one `Served` version each."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

import openrealm
from openrealm.progress import visible
from openrealm.serve import metrics, schemas
from openrealm.serve.batching import Batcher
from openrealm.serve.gate import Gate
from openrealm.serve.limits import Limits, Refused
from openrealm.serve.metrics import Metrics
from openrealm.serve.served import Served
from openrealm.serve.versions import Versions

PAGE = Path(__file__).parent / "page"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_SUMMARY = "Answers questions from a corpus and cites the passages. Every answer names the version it comes from."
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.Error, "description": why}
    for status, why in {
        400: "The request cannot be read.",
        401: "The token is missing or wrong.",
        404: "There is no such system, version or passage.",
        408: "The body did not arrive in time.",
        413: "The body is too long.",
        415: "The body is not JSON.",
        421: "The Host header names another server.",
        422: "A field is missing, unknown or out of bounds.",
        429: "Too many requests; Retry-After says when to try again.",
    }.items()
}
_MAX_AROUND = 200
_api = APIRouter(prefix="/v1", responses=_REFUSALS)


class Services:
    """What the routes share."""

    def __init__(self, versions: Versions, limits: Limits) -> None:
        self.versions, self.limits = versions, limits
        self.metrics = Metrics(
            num_waiting=lambda: self.batcher.num_waiting, num_updates=lambda: self.versions.num_updates
        )
        self.batcher = Batcher(
            max_waiting=limits.max_waiting,
            answer_seconds=limits.answer_seconds,
            on_batch=self.metrics.computed,
        )


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Shared = Annotated[Services, Depends(_services)]
SystemQuery = Annotated[str | None, Query(max_length=64, description="A system of /v1/info.")]
VersionQuery = Annotated[str | None, Query(max_length=64, description="The id of a version of /v1/info.")]
PassageId = Annotated[str, Query(pattern="^[0-9a-f]{32}$", description="The passage_id of an answer.")]


@_api.post("/ask")
async def ask(request: schemas.AskRequest, services: Shared) -> schemas.Answers:
    """Answer questions, with the passages that the answers come from."""
    served, questions = await _asked(request, request.k, request.threshold, services)
    k, threshold, as_of = request.k, request.threshold, request.as_of
    answers = {question: served.remembered(question, k, threshold, as_of) for question in questions}
    new = [question for question, answer in answers.items() if answer is None]
    found = await services.batcher.run(
        (served.version.id, "ask", k, threshold, as_of), new, lambda items: served.ask(items, k, threshold, as_of)
    )
    answers |= dict(zip(new, found, strict=True))
    in_order = [answer for question in questions if (answer := answers[question]) is not None]
    for answer in in_order:
        services.metrics.outcome("found" if answer.found else "not_found")
    return schemas.Answers(answers=in_order)


@_api.post("/search")
async def search(request: schemas.SearchRequest, services: Shared) -> schemas.Searched:
    """Find passages without reading them."""
    served, questions = await _asked(request, request.k, None, services)
    k, as_of = request.k, request.as_of
    results = await services.batcher.run(
        (served.version.id, "search", k, as_of), questions, lambda items: served.search(items, k, as_of)
    )
    return schemas.Searched(results=results)


@_api.post("/embed")
async def embed(request: schemas.EmbedRequest, services: Shared) -> schemas.Vectors:
    """Embed texts as queries or as passages."""
    titles = [""] * len(request.texts) if request.titles is None else request.titles
    if len(titles) != len(request.texts):
        raise Refused(422, f"titles: {len(titles)} are given for {len(request.texts)} texts; give one for each.")
    if request.titles and request.kind == "query":
        raise Refused(422, "titles: queries have none; omit them, or embed passages.")
    served = await services.versions.get(request.system, request.version)
    vectors = await _embedded(served, list(zip(titles, request.texts, strict=True)), request.kind, services)
    return schemas.Vectors(vectors=vectors, dim=len(vectors[0]), version=served.version)


@_api.post("/embeddings")
async def embeddings(request: schemas.EmbeddingsRequest, services: Shared) -> schemas.Embeddings:
    """Embed texts as OpenAI's API does; the models are the two towers, "query" and "passage"."""
    texts = [request.input] if isinstance(request.input, str) else request.input
    served = await services.versions.get()
    vectors = await _embedded(served, [("", text) for text in texts], request.model, services)
    in_base64 = request.encoding_format == "base64"
    data = [
        schemas.Embedding(
            index=n,
            embedding=base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode() if in_base64 else vector,
        )
        for n, vector in enumerate(vectors)
    ]
    num_tokens = served.num_tokens(texts)
    usage = schemas.Usage(prompt_tokens=num_tokens, total_tokens=num_tokens)
    return schemas.Embeddings(data=data, model=request.model, usage=usage)


@_api.get("/passages/{passage_id}")
async def passage(
    passage_id: Annotated[str, InPath(pattern="^[0-9a-f]{32}$")],
    services: Shared,
    system: SystemQuery = None,
    version: VersionQuery = None,
) -> schemas.StoredPassage:
    """A passage of the corpus."""
    return (await services.versions.get(system, version)).passage(passage_id)


@_api.get("/source")
async def source(
    passage_id: PassageId,
    services: Shared,
    around: Annotated[int, Query(ge=0, description=f"Passages on either side, at most {_MAX_AROUND}.")] = 20,
    system: SystemQuery = None,
    version: VersionQuery = None,
) -> schemas.Around:
    """The article around a passage, as the corpus holds it."""
    return (await services.versions.get(system, version)).around(passage_id, min(around, _MAX_AROUND))


@_api.get("/info")
async def info(services: Shared) -> schemas.Info:
    """What is served: systems, versions and limits."""
    versions = services.versions
    current, loaded = await versions.get(), versions.loaded
    answering = current.answerer.model.answering
    names = {served.system for served, _ in loaded}
    return schemas.Info(
        name=Path(versions.name).name,
        openrealm=openrealm.__version__,
        default_system=versions.default_system,
        systems=[
            schemas.SystemInfo(
                name=each.name,
                title=each.title,
                is_default=each.name == versions.default_system,
                is_loaded=each.name in names,
            )
            for each in versions.systems
        ],
        versions=[
            schemas.VersionInfo(
                **served.version.model_dump(),
                is_current=is_current,
                since=served.since.isoformat(timespec="seconds"),
                num_passages=len(served.answerer.corpus),
                num_articles=served.answerer.corpus.manifest["num_articles"],
            )
            for served, is_current in loaded
        ],
        corpus=schemas.CorpusInfo(
            num_passages=len(current.answerer.corpus),
            num_articles=current.answerer.corpus.manifest["num_articles"],
            digest=current.version.corpus,
            has_dates=current.answerer.corpus.has_dates,
        ),
        threshold=None if answering is None else answering.threshold,
        has_utility=current.has_utility,
        update_error=visible(versions.update_error),
        limits=schemas.LimitsInfo.model_validate(services.limits, from_attributes=True),
    )


async def _asked(
    request: schemas.AskRequest | schemas.SearchRequest, k: int | None, threshold: float | None, services: Services
) -> tuple[Served, list[str]]:
    """The version that answers, and the questions. Raises Refused where they exceed a limit."""
    questions, limits = request.texts, services.limits
    _check_number("questions", questions, limits.max_questions)
    _check_lengths("The question", questions, limits.max_question_characters)
    if k is not None and k > limits.max_k:
        raise Refused(422, f"k: at most {limits.max_k} passages are allowed.")
    served = await services.versions.get(request.system, request.version)
    served.check(questions, threshold, request.as_of)
    return served, questions


async def _embedded(
    served: Served, texts: Sequence[tuple[str, str]], kind: str, services: Services
) -> list[list[float]]:
    limits = services.limits
    _check_number("texts", texts, limits.max_texts)
    _check_lengths("The text", [title + text for title, text in texts], limits.max_text_characters)
    return await services.batcher.run(
        (served.version.id, "embed", kind), texts, lambda items: served.embed(items, kind)
    )


def _check_number(what: str, values: Sequence[object], most: int) -> None:
    if len(values) > most:
        raise Refused(422, f"{what}: {len(values)} are given, and at most {most} are allowed in one request.")


def _check_lengths(what: str, texts: Sequence[str], most: int) -> None:
    if (longest := max(map(len, texts))) > most:
        raise Refused(422, f"{what} has {longest:,} characters, and at most {most:,} are allowed.")


def create_app(
    versions: Versions,
    limits: Limits | None = None,
    *,
    token: str | None = None,
    hosts: Sequence[str] = (),
) -> FastAPI:
    """The server as an ASGI application.

    versions  what is served
    limits    bounds on requests; None means the defaults of `Limits`
    token     bearer token for all routes of /v1/ and for /metrics, if any
    hosts     names that the Host header may have, such as `gate.LOOPBACK`; none allows all
    """
    limits = limits or Limits()
    services = Services(versions, limits)

    @contextlib.asynccontextmanager
    async def running(_app: FastAPI) -> AsyncIterator[None]:
        services.batcher.start()
        versions.start()
        yield
        versions.stop()
        services.batcher.stop()

    app = FastAPI(
        title="openrealm",
        version=openrealm.__version__,
        description=_SUMMARY,
        docs_url=None,  # Swagger's page loads its scripts from elsewhere
        redoc_url=None,
        lifespan=running,
    )
    app.state.services = services
    app.include_router(_api)
    _add_plain_routes(app, services)
    _add_page(app)
    app.add_exception_handler(Refused, _on_refused)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_bug)
    app.add_middleware(Gate, limits=limits, metrics=services.metrics, token=token, hosts=frozenset(hosts))
    return app


def _add_plain_routes(app: FastAPI, services: Services) -> None:
    @app.get("/healthz")
    async def healthz() -> schemas.Health:
        """Whether the server answers."""
        return schemas.Health()

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def read_metrics() -> Response:
        """Counters for Prometheus."""
        return Response(services.metrics.text(), media_type=metrics.CONTENT_TYPE)


def _add_page(app: FastAPI) -> None:
    """The page at /, with its files below /page/; without one, / leads to the description of the API."""
    index = PAGE / "index.html"
    if not index.exists():

        @app.get("/", include_in_schema=False)
        async def described() -> Response:
            return RedirectResponse("/openapi.json")

        return

    headers = {"Content-Security-Policy": CSP, "Cache-Control": "no-cache"}

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(index, headers=headers)

    app.mount("/page", _Static(directory=PAGE))


class _Static(StaticFiles):
    """The page's files, which may load nothing from elsewhere."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Content-Security-Policy"] = CSP
        response.headers["Cache-Control"] = "no-cache"
        return response


async def _on_refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return JSONResponse({"error": error.sentence}, error.status, error.headers)


async def _on_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"error": _sentence(error)}, 422)


async def _on_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": f"{str(error.detail).rstrip('.')}."}, error.status_code, error.headers)


async def _on_bug(_request: Request, error: Exception) -> Response:
    kind = type(error).__name__
    return JSONResponse({"error": f"Internal error ({kind}); see the server's log, and please report it."}, 500)


def _sentence(error: RequestValidationError) -> str:
    """The first thing that does not fit, as one sentence that begins with the field."""
    first = error.errors()[0]
    place = first["loc"][1:]  # after "body", "query" or "path"
    if first["type"] == "extra_forbidden":
        return f"{visible('.'.join(map(str, place)))[:100]} is not a field of this request."
    # pydantic names the branches of a union too, such as "list[str]".
    field = visible(".".join(str(part) for part in place if str(part).isidentifier() or isinstance(part, int)))
    if first["type"] == "missing":
        return f"{field or 'The body'} is missing."
    reason = visible(str(first["msg"]).removeprefix("Value error, ").rstrip("."))[:300]
    if reason.startswith("Input should be "):
        return f"{field or 'The body'} must be {reason.removeprefix('Input should be ')}."
    return f"{field}: {reason[:1].lower()}{reason[1:]}." if field else f"{reason[:1].upper()}{reason[1:]}."
