"""`openrealm warm-start`: train an initial retriever and reader."""

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
    """Train an initial retriever and reader.

    The retriever is trained on the Inverse Cloze Task, the reader on masked-language modelling.
    """
    from openrealm.run.stages import Options

    perform("warm_start", run_for(run, settings, recipe, config), run, Options(resume=resume))
