"""`openrealm quickstart`: everything once, on the World Factbook."""

from __future__ import annotations

from typing import Annotated

import typer

from openrealm.cli.common import (
    DEFAULT_RUN,
    ConfigOption,
    RecipeOption,
    RunOption,
    SetOption,
    again,
    run_folder,
    settings_from,
    stoppable,
)


def quickstart(
    run: RunOption = DEFAULT_RUN,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do again what is done already.")] = False,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Train and compare everything on the World Factbook.

    Stages that are done with the same settings are left alone, and an interrupted pre-training goes on.
    """
    from openrealm.cli.show import show_report
    from openrealm.config import with_settings
    from openrealm.errors import BadInput
    from openrealm.recipes.catalogue import recipe as recipe_of
    from openrealm.run.folder import Run
    from openrealm.run.pipeline import quickstart_run

    folder = run_folder(run)
    if recipe is not None and not recipe.startswith(DEFAULT_RUN):
        raise BadInput(f"The recipe {recipe} is not one of the quickstart's; with it, use `openrealm run FOLDER`.")
    given = [*settings_from(config), f"name={folder.name}", *(settings or ())]
    made = Run(folder, with_settings(recipe_of(recipe or "quickstart"), given))
    words = ["quickstart", "--run", run, *(["--recipe", recipe] if recipe else [])]
    words += ["--config", str(config)] if config else []
    with stoppable(again(*words, settings=settings)):
        report = quickstart_run(made, fresh=fresh)
    show_report(report, folder)
