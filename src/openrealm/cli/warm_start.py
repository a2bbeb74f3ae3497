"""`openrealm warm-start`: train the first retriever and reader."""

from __future__ import annotations

from openrealm.cli.common import (
    DEFAULT_RUN,
    ConfigOption,
    RecipeOption,
    ResumeOption,
    RunOption,
    SetOption,
    perform,
    run_for,
)


def warm_start(
    run: RunOption = DEFAULT_RUN,
    resume: ResumeOption = False,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Train the first retriever and reader.

    The retriever is trained with the inverse cloze task, the reader with masked-language modelling.
    """
    from openrealm.run.stages import Options

    perform("warm_start", run_for(run, settings, recipe, config), run, Options(resume=resume))
