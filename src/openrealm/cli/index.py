"""`openrealm index`: embed all passages."""

from __future__ import annotations

from openrealm.cli.common import (
    DEFAULT_RUN,
    ConfigOption,
    RecipeOption,
    RunOption,
    SetOption,
    again,
    run_for,
    stoppable,
    suggest_next,
)


def index(
    run: RunOption = DEFAULT_RUN,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Embed all passages into an index for retrieval.

    The passage tower is the pre-trained one or, before pre-training, that of the warm start. Stages that need an
    index build it themselves.
    """
    from openrealm.run import stages

    found = run_for(run, settings, recipe, config)
    with stoppable(again("index", "--run", run)), found.writing():
        start = "pretrain" if stages.get("pretrain").is_finished(found) else "warm_start"
        stage = stages.index_of(start)
        stage.perform(found)
    suggest_next(stage, run)
