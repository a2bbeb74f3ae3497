"""`openrealm evaluate`: how good every system is, and the report."""

from __future__ import annotations

from openrealm.cli.common import (
    DEFAULT_RUN,
    QuestionsOption,
    RecipeOption,
    RunOption,
    SetOption,
    again,
    run_for,
    stoppable,
)


def evaluate(
    run: RunOption = DEFAULT_RUN,
    questions: QuestionsOption = None,
    recipe: RecipeOption = None,
    settings: SetOption = None,
) -> None:
    """Ask the test questions and write the report."""
    from openrealm.cli.show import show_report
    from openrealm.recipes.evaluate_run import evaluate_stage
    from openrealm.recipes.questions import replace

    found = run_for(run, settings, recipe)
    with stoppable(again("evaluate", "--run", run)), found.writing():
        if questions is not None:
            replace(found, test=questions)
        report = evaluate_stage(found)
    show_report(report, found.folder)
