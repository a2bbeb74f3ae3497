"""`openrealm ask`: answer a question and show where the answer comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from openrealm.cli.common import latest_finished_run, run_folder
from openrealm.run.systems import SYSTEMS

_READERS = ", ".join(name for name, system in SYSTEMS.items() if system.reads_passages)


def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question, in quotes.")],
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="NAME",
            show_default="the latest finished run",
            help="Run to ask: a name under runs/, or a path to its folder.",
        ),
    ] = None,
    system: Annotated[
        str, typer.Option("--system", metavar="NAME", help=f"Fine-tuned system to ask: {_READERS}.")
    ] = "realm",
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Answer a question and show its source passage."""
    folder = latest_finished_run(system) if run is None else run_folder(run)

    from openrealm.cli.show import show_answer
    from openrealm.serve.answerer import Answerer

    show_answer(Answerer.open(folder, system).ask(question), as_json=as_json)
