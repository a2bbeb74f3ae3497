"""`openrealm pretrain`: retriever and reader together, the index refreshed by another process."""

from __future__ import annotations

from typing import Annotated

import typer

from openrealm.cli.common import (
    DEFAULT_RUN,
    RecipeOption,
    RunOption,
    SetOption,
    again,
    run_folder,
    run_for,
    say_next,
    stoppable,
)


def pretrain(
    run: RunOption = DEFAULT_RUN,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    frozen_towers: Annotated[
        bool, typer.Option("--frozen-towers", help="Train the reader alone, to compare with.")
    ] = False,
    queries: Annotated[
        str | None,
        typer.Option("--queries", metavar="FOLDER", help="Mask the text of this corpus, or run, instead of one's own."),
    ] = None,
    recipe: RecipeOption = None,
    settings: SetOption = None,
) -> None:
    """Train retriever and reader together."""
    from openrealm.recipes.stages import pretrain_stage

    given = [f"pretrain.queries={run_folder(queries).absolute()}"] if queries is not None else []
    found = run_for(run, [*given, *(settings or ())], recipe)
    frozen = ["--frozen-towers"] if frozen_towers else []
    with stoppable(again("pretrain", "--resume", *frozen, "--run", run)), found.writing():
        pretrain_stage(found, resume=resume, frozen=frozen_towers)
    say_next(again("finetune", "--run", run))
