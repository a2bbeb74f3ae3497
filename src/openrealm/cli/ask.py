"""`openrealm ask`: a question, its answer, and where that was read."""

from __future__ import annotations

from typing import Annotated

import typer

from openrealm.cli.common import newest_answering_run, run_folder


def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What you want to know.")],
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="FOLDER", help="The run's folder or name; else the newest that can answer."),
    ] = None,
    system: Annotated[str, typer.Option("--system", metavar="NAME", help="realm, warm_start or bm25.")] = "realm",
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Answer a question, with the passage it was read in."""
    folder = newest_answering_run() if run is None else run_folder(run)

    from openrealm.cli.show import show_answer
    from openrealm.serve.answerer import Answerer

    show_answer(Answerer.open(folder, system).ask(question), as_json=as_json)
