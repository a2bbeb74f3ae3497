"""`openrealm evaluate`: measure the fine-tuned systems and write the report."""

from __future__ import annotations

from openrealm.cli.common import (
    DEFAULT_RUN,
    ConfigOption,
    QuestionsOption,
    RecipeOption,
    RegexOption,
    RunOption,
    SetOption,
    again,
    require_questions,
    run_for,
    stoppable,
)


def evaluate(
    run: RunOption = DEFAULT_RUN,
    questions: QuestionsOption = None,
    regex: RegexOption = False,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Test the fine-tuned systems and write the report.

    Every fine-tuned system answers the run's test questions, which --questions replaces.
    """
    from openrealm.cli.show import show_report
    from openrealm.run import stages
    from openrealm.run.questions import replace

    require_questions(questions, regex)
    found = run_for(run, settings, recipe, config)
    with stoppable(again("evaluate", "--run", run)), found.writing():
        if questions is not None:
            replace(found, test=questions, regex=regex)
        report = stages.get("evaluate").perform(found)
    show_report(report, found.folder)
