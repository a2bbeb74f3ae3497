"""`openrealm quickstart`: a whole run on the World Factbook."""

from __future__ import annotations

from typing import Annotated

import typer

from openrealm.cli.common import (
    DEFAULT_RUN,
    ConfigOption,
    FreshOption,
    RunOption,
    SetOption,
    again,
    run_folder,
    settings_from,
    stoppable,
)

_RECIPES = (DEFAULT_RUN, "quickstart-minilm")


def quickstart(
    run: RunOption = DEFAULT_RUN,
    fresh: FreshOption = False,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME",
            help="Recipe to use: quickstart, or quickstart-minilm for MiniLM as the base encoder.",
            show_default="quickstart",
        ),
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Train on the World Factbook and compare REALM with baselines.

    Stages completed with the same settings are skipped, and interrupted pre-training is resumed.
    """
    from openrealm.cli.show import show_report
    from openrealm.config import with_settings
    from openrealm.errors import BadInput
    from openrealm.recipes.catalogue import recipe as recipe_of
    from openrealm.run.folder import Run
    from openrealm.run.pipeline import quickstart_run

    folder = run_folder(run)
    settings_of_recipe = recipe_of(recipe or DEFAULT_RUN)
    if recipe not in (None, *_RECIPES):
        other = "openrealm run FOLDER" if recipe == "small" else f"openrealm corpus --source PATH --recipe {recipe}"
        raise BadInput(
            f"The recipe {recipe} is not for the quickstart, which takes {' or '.join(_RECIPES)}; use `{other}`."
        )
    given = [*settings_from(config), f"name={folder.name}", *(settings or ())]
    new = Run(folder, with_settings(settings_of_recipe, given))
    words = ["quickstart", "--run", run, *(["--recipe", recipe] if recipe else [])]
    words += ["--config", str(config)] if config else []
    with stoppable(again(*words, settings=settings)):
        report = quickstart_run(new, fresh=fresh)
    show_report(report, folder)
