"""`openrealm finetune`: train systems to answer questions."""

from __future__ import annotations

from typing import Annotated

import typer

from openrealm import launch
from openrealm.cli.common import (
    DEFAULT_RUN,
    ConfigOption,
    QuestionsOption,
    RecipeOption,
    RegexOption,
    ResumeOption,
    RunOption,
    SetOption,
    again,
    require_questions,
    run_for,
    stoppable,
    suggest_next,
    together,
)
from openrealm.run.systems import SYSTEMS, system_of


def finetune(
    run: RunOption = DEFAULT_RUN,
    system: Annotated[
        list[str] | None,
        typer.Option(
            "--system",
            metavar="NAME",
            show_default="realm",
            help=f"System to fine-tune: {', '.join(SYSTEMS)} or all. Repeatable.",
        ),
    ] = None,
    questions: QuestionsOption = None,
    regex: RegexOption = False,
    resume: ResumeOption = False,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Train a system to answer questions.

    Without --questions, the system is trained on the run's own questions, which are generated if necessary. With
    --resume, systems that are already fine-tuned are skipped.
    """
    from openrealm.run import artefacts, stages
    from openrealm.run.questions import replace

    require_questions(questions, regex)
    found = run_for(run, settings, recipe, config)
    names = list(SYSTEMS) if system and "all" in system else system or ["realm"]
    chosen = [stages.get(system_of(name).stage) for name in names]
    words = ["finetune", *(word for name in names for word in ("--system", name)), "--run", run]

    def how_to_continue() -> str:
        return again(*words, *(["--resume"] if any(stage.can_resume(found) for stage in chosen) else []))

    with stoppable(how_to_continue), together(found) as ranks:
        artefacts.open_corpus(found)
        if questions is not None and launch.is_first():
            replace(found, train=questions, regex=regex)
        for stage in chosen:
            is_done = resume and stage.is_current(found)
            resumes = resume and (len(chosen) == 1 or stage.can_resume(found))
            if ranks is not None:  # the others may look later, when the first one has begun
                is_done, resumes = (bool(ranks.from_first(float(value))) for value in (is_done, resumes))
            if not is_done:
                stage.perform(found, stages.Options(resume=resumes, ranks=ranks))
    suggest_next(chosen[-1], run)
