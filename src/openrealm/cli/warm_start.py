"""`openrealm warm-start`: a first retriever and reader."""

from __future__ import annotations

from openrealm.cli.common import (
    DEFAULT_RUN,
    ConfigOption,
    RecipeOption,
    RunOption,
    SetOption,
    again,
    run_for,
    say_next,
    stoppable,
)


def warm_start(
    run: RunOption = DEFAULT_RUN,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Train a first retriever (ICT) and reader (masks)."""
    from openrealm.run.stages import warm_start_stage

    found = run_for(run, settings, recipe, config)
    with stoppable(again("warm-start", "--run", run)), found.writing():
        warm_start_stage(found)
    say_next(again("pretrain", "--run", run))
