"""`openrealm pretrain`: train retriever and reader jointly while another process refreshes the index."""

from __future__ import annotations

from typing import Annotated

import typer

from openrealm.cli.common import (
    DEFAULT_RUN,
    ConfigOption,
    QueriesOption,
    RecipeOption,
    ResumeOption,
    RunOption,
    SetOption,
    perform,
    queries_settings,
    run_for,
)
from openrealm.errors import BadInput


def pretrain(
    run: RunOption = DEFAULT_RUN,
    resume: ResumeOption = False,
    frozen_towers: Annotated[
        bool, typer.Option("--frozen-towers", help="Baseline: train the reader alone, with the retriever frozen.")
    ] = False,
    towers_alone: Annotated[
        bool,
        typer.Option(
            "--towers-alone",
            help="Baseline: train the towers by the Inverse Cloze Task alone, for as long as pre-training took.",
        ),
    ] = False,
    queries: QueriesOption = None,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Train retriever and reader jointly."""
    from openrealm.run.stages import Options

    if frozen_towers and towers_alone:
        raise BadInput("Give either --frozen-towers or --towers-alone.")
    found = run_for(run, [*queries_settings(queries), *(settings or ())], recipe, config)
    stage = "frozen_towers" if frozen_towers else "towers_alone" if towers_alone else "pretrain"
    perform(stage, found, run, Options(resume=resume))
