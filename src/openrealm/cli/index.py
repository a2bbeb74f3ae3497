"""`openrealm index`: the vector of every passage."""

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
from openrealm.progress import say


def index(
    run: RunOption = DEFAULT_RUN,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Embed all passages with the newest passage tower.

    That is the pre-trained one; before pre-training, the warm start's."""
    from openrealm.run.stages import index_stage, open_model

    found = run_for(run, settings, recipe, config)
    with stoppable(again("index", "--run", run)), found.writing():
        of = "pretrain" if found.is_finished("pretrain") else "warm_start"
        version = index_stage(found, open_model(found, of), of)
    say(f"index: version {version.name}, {len(version.vector_ND):,} vectors of {version.vector_ND.shape[1]}")
    say_next(again("finetune" if of == "pretrain" else "pretrain", "--run", run))
