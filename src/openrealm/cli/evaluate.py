"""`openrealm evaluate`: measure the fine-tuned systems and write the report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openrealm.cli.common import (
    DEFAULT_RUN,
    ConfigOption,
    JsonReportOption,
    QuestionsOption,
    RecipeOption,
    RegexOption,
    RunOption,
    SetOption,
    again,
    require_questions,
    run_folder,
    run_for,
    stoppable,
)
from openrealm.errors import BadInput


def evaluate(
    run: RunOption = DEFAULT_RUN,
    questions: QuestionsOption = None,
    regex: RegexOption = False,
    trec: Annotated[
        Path | None,
        typer.Option(
            "--trec",
            metavar="FILE",
            help="Measure a TREC run file instead: recall against --qrels, or against the answers to --questions.",
        ),
    ] = None,
    qrels: Annotated[
        Path | None,
        typer.Option("--qrels", metavar="FILE", help="File in TREC's format that says which passages are right."),
    ] = None,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    as_json: JsonReportOption = False,
) -> None:
    """Test the fine-tuned systems and write the report.

    Every fine-tuned system answers the run's test questions, which --questions replaces. With --trec, nothing is
    answered or written: the passages that a TREC run file names are looked up in the run's corpus, and a passage is
    right if it contains an answer.
    """
    from openrealm.cli.show import show_measures, show_report
    from openrealm.run import stages
    from openrealm.run.questions import replace

    if qrels is not None and trec is None:
        raise BadInput("--qrels says which passages of a TREC run file are right; add --trec FILE.")
    if trec is not None:
        from openrealm.run.trec import measured

        show_measures(measured(trec, run_folder(run), qrels=qrels, questions=questions, regex=regex), as_json=as_json)
        return
    require_questions(questions, regex)
    found = run_for(run, settings, recipe, config)
    with stoppable(again("evaluate", "--run", run)), found.writing():
        if questions is not None:
            replace(found, test=questions, regex=regex)
        report = stages.get("evaluate").perform(found)
    show_report(report, found.folder, as_json=as_json)
