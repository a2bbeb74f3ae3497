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


def pretrain(
    run: RunOption = DEFAULT_RUN,
    resume: ResumeOption = False,
    frozen_towers: Annotated[
        bool, typer.Option("--frozen-towers", help="Baseline: train the reader alone, with the retriever frozen.")
    ] = False,
    queries: QueriesOption = None,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Train retriever and reader jointly."""
    from openrealm.run.stages import Options

    found = run_for(run, [*queries_settings(queries), *(settings or ())], recipe, config)
    perform("frozen_towers" if frozen_towers else "pretrain", found, run, Options(resume=resume))
