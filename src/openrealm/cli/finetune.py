"""`openrealm finetune`: from masked words to questions."""

from __future__ import annotations

from typing import Annotated

import typer

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
    say_next,
    stoppable,
)
from openrealm.progress import say


def finetune(
    run: RunOption = DEFAULT_RUN,
    system: Annotated[
        list[str] | None,
        typer.Option("--system", metavar="NAME", help="realm, closed_book, bm25, warm_start or all; repeatable."),
    ] = None,
    questions: QuestionsOption = None,
    regex: RegexOption = False,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Train a system to answer questions."""
    from openrealm.run.folder import SYSTEMS
    from openrealm.run.questions import replace
    from openrealm.run.stages import finetune_stage, open_corpus

    require_questions(questions, regex)
    found = run_for(run, settings, recipe, config)
    chosen = list(SYSTEMS) if system and "all" in system else system or ["realm"]
    options = [part for name in chosen for part in ("--system", name)]
    with stoppable(again("finetune", *options, "--run", run)), found.writing():
        open_corpus(found)
        replace(found, train=questions, regex=regex)
        for name in chosen:
            finetune_stage(found, name)
            say(f"fine-tune: {name} is in {found.finetune / name}")
    say_next(again("evaluate", "--run", run))
