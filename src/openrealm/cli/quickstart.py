"""`openrealm quickstart`: a text that comes with the package, asked, trained on, and asked again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openrealm.cli.common import (
    DEFAULT_RUN,
    ConfigOption,
    FreshOption,
    JsonReportOption,
    SetOption,
    again,
    run_folder,
    settings_from,
    stoppable,
)
from openrealm.errors import BadInput
from openrealm.progress import say, show

if TYPE_CHECKING:
    from openrealm.run.folder import Run

_RECIPES = (DEFAULT_RUN, "factbook", "factbook-minilm")
_MINUTES = 9.0
_NUM_ANSWERED = 3
_PLAN = """\
The text: 1,023 paragraphs of Wikipedia, with questions that people typed into a search engine. What follows:
  1. openrealm-qa, which has not seen the text, answers three of the questions;
  2. its retriever and a reader are trained on the text together (joint pre-training), and beside that, for the same
     time, the retriever alone (warm start);
  3. all of them and BM25 answer 303 other questions, and a table compares them.
It takes about {minutes:g} minutes on two cores (--minutes), 2 GB of memory and 1 GB of disk."""


def quickstart(
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="NAME",
            help="Run to create or continue: a name under runs/, or a path to its folder.",
            show_default="the name of the recipe",
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=1.0,
            metavar="M",
            help="Time for the whole quickstart: as much is trained as fits.",
            show_default=f"{_MINUTES:g}",
        ),
    ] = None,
    fresh: FreshOption = False,
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            metavar="NAME",
            help="Recipe to use: quickstart, or the paper's systems on the World Factbook: factbook, or "
            "factbook-minilm for MiniLM as the base encoder.",
        ),
    ] = DEFAULT_RUN,
    config: ConfigOption = None,
    settings: SetOption = None,
    as_json: JsonReportOption = False,
) -> None:
    """Ask a text that comes with the package, train on it, and show what the training adds.

    Stages completed with the same settings are skipped, and interrupted training is resumed.
    """
    from openrealm.cli.show import show_report
    from openrealm.recipes.catalogue import recipe as recipe_of

    recipe_of(recipe)
    if recipe not in _RECIPES:
        other = "openrealm run FOLDER" if recipe == "small" else f"openrealm corpus --source PATH --recipe {recipe}"
        raise BadInput(
            f"The recipe {recipe} is not for the quickstart, which takes {' or '.join(_RECIPES)}; use `{other}`."
        )
    if minutes is not None and recipe != DEFAULT_RUN:
        raise BadInput(f"The recipe {recipe} has fixed numbers of steps; --minutes is for the recipe {DEFAULT_RUN}.")
    folder = run_folder(run or recipe)
    given = [*settings_from(config), f"name={folder.name}", *(settings or ())]
    words = ["quickstart", *(["--run", run] if run else []), *(["--recipe", recipe] if recipe != DEFAULT_RUN else [])]
    words += ["--minutes", f"{minutes:g}"] if minutes else []
    words += ["--config", str(config)] if config else []
    with stoppable(again(*words, settings=settings)):
        report = _run(folder, recipe, given, minutes or _MINUTES, fresh=fresh, answers=not as_json)
    show_report(report, folder, as_json=as_json)


def _run(
    folder: Path, recipe: str, settings: list[str], minutes: float, *, fresh: bool, answers: bool
) -> dict[str, Any]:
    from openrealm.config import with_settings
    from openrealm.qed.source import NAME
    from openrealm.recipes.catalogue import recipe as recipe_of
    from openrealm.run.folder import Run
    from openrealm.run.pipeline import factbook_run, folder_run

    if recipe != DEFAULT_RUN:
        return factbook_run(Run(folder, with_settings(recipe_of(recipe), settings)), fresh=fresh)
    return folder_run(
        folder,
        [*settings, f"corpus.source={NAME}"],
        minutes=minutes,
        fresh=fresh,
        on_start=lambda: _say_plan(minutes),
        on_index=_answer_some if answers else lambda run: None,
    )


def _say_plan(minutes: float) -> None:
    for line in _PLAN.format(minutes=minutes).splitlines():
        say(line)


def _answer_some(run: Run) -> None:
    """Answer the first test questions with the model before it is trained."""
    from openrealm.cli.show import show_answer
    from openrealm.qed.source import qed_questions
    from openrealm.run import artefacts
    from openrealm.serve.answerer import Answerer

    model, corpus, engine = (
        artefacts.open_model(run, "warm_start"),
        artefacts.open_corpus(run),
        artefacts.engine_of(run),
    )
    finder = artefacts.tower_finder(run, model, "warm_start")
    answerer = Answerer(model, corpus, finder=finder, config=run.config, engine=engine)
    asked = qed_questions().test[:_NUM_ANSWERED]
    for question, answer in zip(asked, answerer.ask([question.text for question in asked], threshold=0), strict=True):
        show_answer(replace(answer, runners_up=()), as_json=False, single=False)
        show(f"Marked by people: {' or '.join(question.answers)}")
    show("")
