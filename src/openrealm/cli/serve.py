"""`openrealm serve`: answer questions over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from openrealm.cli.common import SkipUnreadableOption, absolute, latest_finished_run, run_folder
from openrealm.errors import BadInput, NotInstalled
from openrealm.progress import say

_TOKEN = "OPENREALM_TOKEN"


def serve(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="Run to serve: a name under runs/, or a path to its folder.",
            show_default="the latest finished run",
        ),
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            "--corpus",
            metavar="SOURCE",
            help="Documents to serve without training: a folder, or a .jsonl, .json, .tsv, .csv or .parquet file.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at. Any but a loopback address needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes any free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar=_TOKEN,
            show_envvar=True,
            help="Bearer token that clients must send. Others can read the command line, so prefer the environment "
            "variable.",
        ),
    ] = None,
    max_body: Annotated[int, typer.Option(min=1, metavar="BYTES", help="Longest body of a request.")] = 1 << 20,
    max_waiting: Annotated[
        int, typer.Option(min=1, metavar="N", help="Most questions and texts that may wait; beyond them, 429.")
    ] = 1024,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.01, metavar="R", help="Requests per second of one client; beyond them, 429.", show_default="no limit"
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Longest time that a request waits for its answer.")
    ] = 60.0,
    poll: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How often to look for a new version; 0 never does.")
    ] = 2.0,
    keep: Annotated[
        int, typer.Option(min=1, metavar="N", help="Versions of a system that stay loaded and can be compared.")
    ] = 2,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Show the training of the run at /watch/ too (see `openrealm watch`)."),
    ] = False,
    skip_unreadable: SkipUnreadableOption = False,
) -> None:
    """Answer questions over HTTP from a run, or from documents without training.

    Concurrent questions are answered together. When a run is trained again, or documents change, the new version
    answers from the next request on; nothing is restarted, and every answer names its version. Ctrl-C or SIGTERM stops
    the server once the requests under way are answered.
    """
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise NotInstalled(f"Serving needs {error.name}; install it with: pip install 'openrealm[serve]'.") from error

    from openrealm.serve import server

    if corpus is not None and run is not None:
        raise BadInput("--corpus serves documents without a run; give either a run or --corpus.")
    if watch and (corpus is not None or token or not server.is_loopback(host)):
        raise BadInput(
            "--watch shows the training of a run to everybody who reaches the server; use it with a run, on a loopback "
            "address and without a token."
        )
    if not token and not server.is_loopback(host):
        raise BadInput(
            f"{host} can be reached from other machines, so that clients need a token; set {_TOKEN}, or use "
            "--host 127.0.0.1."
        )
    listener = server.listening(host, port)

    from openrealm.serve.app import create_app
    from openrealm.serve.gate import LOOPBACK
    from openrealm.serve.limits import Limits
    from openrealm.serve.versions import DocumentsOrigin, RunOrigin, Versions

    if corpus is not None:
        from openrealm.cli.asking import kept_folder

        source = absolute(corpus)
        origin: DocumentsOrigin | RunOrigin = DocumentsOrigin(
            source, kept_folder(source), skip_unreadable=skip_unreadable
        )
    else:
        origin = RunOrigin(latest_finished_run() if run is None else run_folder(run))
    limits = Limits(max_body_bytes=max_body, max_waiting=max_waiting, requests_per_second=rate, answer_seconds=timeout)
    versions = Versions(origin, poll_seconds=poll, num_kept=keep)
    hosts = (*LOOPBACK, host) if server.is_loopback(host) and not token else ()
    app = create_app(versions, limits, token=token or None, hosts=hosts)
    if watch and isinstance(origin, RunOrigin):
        from openrealm.serve.watch import watch_app

        app.mount("/watch", watch_app(origin.folder))
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listener.getsockname()[1]}/"
    server.run(
        app,
        listener,
        stop_seconds=limits.answer_seconds,
        on_start=lambda: say(f"Serving {versions.name} at {address} (Ctrl-C stops)."),
    )
    versions.join()
    say("Stopped; all requests were answered.")
