"""`openrealm watch`: a page on which a training can be watched while it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from openrealm.cli.common import RUNS, run_folder
from openrealm.errors import NotInstalled
from openrealm.progress import say


def watch(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="Run to watch: a name under runs/, or a path to its folder.",
            show_default="the run that was written last",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes any free one.")] = 8100,
) -> None:
    """Show a run in the browser while it trains: losses, retrieval utility, retrieved passages, progress.

    The page can be opened on this machine only; forward the port with ssh to watch a run elsewhere. Nothing is written
    to the run, and training is not slowed down. Ctrl-C stops the page, not the training.
    """
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise NotInstalled(f"Watching needs {error.name}; install it with: pip install 'openrealm[serve]'.") from error

    from openrealm.run.folder import Run
    from openrealm.run.follow import latest_run
    from openrealm.serve import server
    from openrealm.serve.watch import watch_app

    folder = latest_run(RUNS) if run is None else run_folder(run)
    Run.open(folder)
    listener = server.listening("127.0.0.1", port)
    where = f"Watching {folder} at http://127.0.0.1:{listener.getsockname()[1]}/ (Ctrl-C stops)."
    server.run(watch_app(folder), listener, stop_seconds=2, on_start=lambda: say(where))
