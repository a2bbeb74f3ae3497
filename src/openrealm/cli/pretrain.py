"""`openrealm pretrain`: retriever and reader together, the index refreshed by another process."""

from __future__ import annotations

from typing import Annotated

import typer

from openrealm.cli.common import (
    DEFAULT_RUN,
    ConfigOption,
    QueriesOption,
    RecipeOption,
    RunOption,
    SetOption,
    again,
    queries_settings,
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
    queries: QueriesOption = None,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Train retriever and reader together."""
    from openrealm.run.stages import pretrain_stage

    found = run_for(run, [*queries_settings(queries), *(settings or ())], recipe, config)
    frozen = ["--frozen-towers"] if frozen_towers else []
    with stoppable(again("pretrain", "--resume", *frozen, "--run", run)), found.writing():
        pretrain_stage(found, resume=resume, frozen=frozen_towers)
    say_next(again("finetune", "--run", run))
