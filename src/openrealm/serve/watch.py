"""The live view of a run over HTTP: its page, and what the page asks for every two seconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import FastAPI, Request, Response
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from openrealm.corpus.corpus import Corpus
from openrealm.errors import OpenRealmError
from openrealm.evaluate.page import SCRIPTS, STYLES, asset, render_live
from openrealm.evaluate.page_data import columns
from openrealm.evaluate.report import Report, complete, thinned
from openrealm.run import follow
from openrealm.run.folder import Run
from openrealm.run.retrieved import read_heldout, recorded, recorded_utilities
from openrealm.run.stages import get

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HOSTS = ("localhost", "127.0.0.1", "[::1]")
_KINDS = {".css": "text/css", ".js": "text/javascript"}
_HEADERS = {"Content-Security-Policy": CSP, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
_MAX_CURSORS = 64


class Asked(BaseModel):
    """What the page has: for each file of rows, where it ends."""

    cursors: Annotated[dict[str, Annotated[str, Field(max_length=64)]], Field(max_length=_MAX_CURSORS)] = {}


def watch_app(folder: Path) -> FastAPI:
    """An application that shows the run in `folder`: `/`, its assets, and `/data`, `/queries` and `/queries/N`.

    Nothing is written or locked. The run may be started anew, removed or rebuilt in the meantime. Requests whose Host
    header is not this machine are refused; every error is {"error": "One sentence."}.
    """
    app = FastAPI(title="openrealm watch", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS))

    @app.exception_handler(HTTPException)
    def refuse(request: Request, error: HTTPException) -> Response:
        return _error(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    def refuse_invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part)[:40] for part in first["loc"])
        return _error(422, f"{place}: {first['msg']}.")

    @app.exception_handler(OpenRealmError)
    def report_damage(request: Request, error: OpenRealmError) -> Response:
        return _error(409, str(error))

    @app.get("/")
    def page() -> Response:
        report = follow.report_of(_opened(folder))
        completed = complete(cast(Report, report)) if report else {}
        return HTMLResponse(render_live(folder.resolve().name, completed, "assets"), headers=_HEADERS)

    @app.get("/assets/{name}")
    def assets(name: str) -> Response:
        if name not in (*STYLES, *SCRIPTS):
            raise HTTPException(404, "There is no such file.")
        return Response(asset(name), media_type=_KINDS[Path(name).suffix], headers=_HEADERS)

    @app.post("/data")
    def data(asked: Asked) -> Response:
        return JSONResponse(_rows_after(_opened(folder), asked.cursors), headers=_HEADERS)

    @app.get("/queries")
    def queries() -> Response:
        return JSONResponse(_queries(_opened(folder)), headers=_HEADERS)

    @app.get("/queries/{number}")
    def query(number: Annotated[int, InPath(ge=0)]) -> Response:
        return JSONResponse(_retrieved(_opened(folder), number), headers=_HEADERS)

    return app


def _error(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status, headers=_HEADERS)


def _opened(folder: Path) -> Run:
    try:
        return Run.open(folder)
    except OpenRealmError as error:
        raise HTTPException(404, str(error)) from error


def _rows_after(run: Run, cursors: Mapping[str, str]) -> dict[str, Any]:
    """The state of the run, and for each file of rows what follows the page's cursor."""
    streams: dict[str, Any] = {}
    for name, path in follow.trainings(run).items():
        part = follow.read_part(path, cursors.get(name, ""))
        streams[name] = {**columns(thinned(part.rows)), "cursor": part.cursor, "is_reset": part.is_reset}
    return {"state": follow.state(run), "streams": streams}


def _queries(run: Run) -> dict[str, Any]:
    """The held-out queries, with their retrieval utility at first and at last."""
    folder = get("pretrain").folder(run)
    known = read_heldout(folder)["queries"]
    utilities = recorded_utilities(folder, len(known))
    return {"queries": [{**query, **of} for query, of in zip(known, utilities, strict=True)]}


def _retrieved(run: Run, number: int) -> dict[str, Any]:
    """What was retrieved for a held-out query by index version, and the passages."""
    folder = get("pretrain").folder(run)
    heldout = read_heldout(folder)
    if number >= len(heldout["queries"]):
        raise HTTPException(404, f"There is no held-out query {number}; there are {len(heldout['queries'])}.")
    try:
        corpus = Corpus.open(run.corpus)
    except OpenRealmError:  # being rebuilt
        corpus = None
    shown = recorded(folder, heldout, [number], corpus, run.config.corpus.source)
    return {"records": shown["queries"][0]["records"], "passages": shown["passages"]}
