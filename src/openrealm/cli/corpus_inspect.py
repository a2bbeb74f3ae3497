"""`openrealm corpus inspect`: show what is in a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openrealm.cli.common import DEFAULT_RUN, QueriesOption, RunOption, queries_settings, run_folder


def inspect(
    run: RunOption = DEFAULT_RUN,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Also save a plot of the lengths as .png, .svg or .pdf."),
    ] = None,
    leaks: Annotated[
        bool,
        typer.Option(
            "--leaks",
            help="Also measure how often the unmasked sentence of a query can be found in another passage.",
        ),
    ] = False,
    queries: QueriesOption = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, metavar="N", help="Random seed for the passages and examples shown.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show statistics and samples of a corpus.

    Prints counts, lengths, frequent names and dates, what was skipped, and ten random passages and masked examples.
    """
    from openrealm.cli.show import safe_json
    from openrealm.cli.show_inspection import show_inspection
    from openrealm.progress import say, show
    from openrealm.run.inspection import inspection

    found = inspection(run_folder(run), queries_settings(queries), seed=seed, plot=plot, leaks=leaks)
    if as_json:
        show(safe_json(found))
    else:
        show_inspection(found)
    if plot is not None:
        say(f"Plot saved: {plot}")
