"""`openrealm corpus inspect`: what is in a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openrealm.cli.common import DEFAULT_RUN, RunOption, run_folder, run_for


def inspect(
    run: RunOption = DEFAULT_RUN,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the lengths into a .png, .svg or .pdf file.")
    ] = None,
    leaks: Annotated[
        bool, typer.Option("--leaks", help="Measure how often a passage gives the answer to a masked query away.")
    ] = False,
    queries: Annotated[
        str | None,
        typer.Option("--queries", metavar="FOLDER", help="Mask the text of this corpus, or run, instead of its own."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the passages and examples shown.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show counts, lengths, frequent names and dates, what was left out, and ten passages and masked examples."""
    from openrealm.cli.show import safe_json
    from openrealm.cli.show_inspection import show_inspection
    from openrealm.progress import say
    from openrealm.recipes.inspection import inspection

    given = [f"pretrain.queries={run_folder(queries).absolute()}"] if queries is not None else []
    found = inspection(run_for(run, given), seed=seed, plot=plot, leaks=leaks)
    if as_json:
        print(safe_json(found))
    else:
        show_inspection(found)
    if plot is not None:
        say(f"Picture: {plot}")
