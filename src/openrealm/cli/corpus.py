"""`openrealm corpus`: text into passages."""

from __future__ import annotations

from typing import Annotated

import typer

from openrealm.cli.common import (
    DEFAULT_RUN,
    RecipeOption,
    RunOption,
    SetOption,
    again,
    new_run_for,
    say_next,
    stoppable,
)


def corpus(
    run: RunOption = DEFAULT_RUN,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="PATH", help="'factbook', a folder, a .jsonl[.xz|.gz|.zst] or .parquet file."),
    ] = None,
    recipe: RecipeOption = None,
    settings: SetOption = None,
) -> None:
    """Cut text into passages; tag names and dates."""
    from openrealm.recipes.stages import corpus_stage

    made = new_run_for(run, source, settings, recipe)
    with stoppable(again("corpus", "--run", run)), made.writing():
        corpus_stage(made)
    say_next(again("warm-start", "--run", run))
