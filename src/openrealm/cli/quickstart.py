"""`openrealm quickstart`: everything once, on the World Factbook."""

from __future__ import annotations

from typing import Annotated

import typer

from openrealm.cli.common import DEFAULT_RUN, RunOption, SetOption, again, run_folder, stoppable


def quickstart(
    run: RunOption = DEFAULT_RUN,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do again what is done already.")] = False,
    settings: SetOption = None,
) -> None:
    """Train and compare everything on the World Factbook.

    Stages that are done with the same settings are left alone, and an interrupted pre-training goes on.
    """
    from openrealm.cli.show import show_report
    from openrealm.config import with_settings
    from openrealm.recipes import quickstart as recipe
    from openrealm.recipes.pipeline import quickstart_run
    from openrealm.recipes.run import Run

    folder = run_folder(run)
    made = Run(folder, with_settings(recipe.quickstart(), [f"name={folder.name}", *(settings or ())]))
    with stoppable(again("quickstart", "--run", run, settings=settings)):
        report = quickstart_run(made, fresh=fresh)
    show_report(report, folder)
