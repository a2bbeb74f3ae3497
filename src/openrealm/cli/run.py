"""`openrealm run FOLDER`: a whole run on the user's own text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from openrealm.cli.common import (
    ConfigOption,
    FreshOption,
    JsonReportOption,
    QuestionsOption,
    RegexOption,
    SetOption,
    SkipUnreadableOption,
    absolute,
    again,
    require_questions,
    run_folder,
    settings_from,
    stoppable,
)


def run(
    folder: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER",
            help="Your text: a folder of documents, a .jsonl, .json, .tsv, .csv or .parquet file, or a wiki dump.",
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--run",
            "--name",
            metavar="NAME",
            show_default="the name of FOLDER",
            help="Run to create or continue: a name under runs/, or a path to its folder.",
        ),
    ] = None,
    questions: QuestionsOption = None,
    regex: RegexOption = False,
    skip_unreadable: SkipUnreadableOption = False,
    minutes: Annotated[
        float,
        typer.Option(
            min=1.0,
            metavar="M",
            help="Time for the whole run: as much is trained as fits, if the text is worth it.",
        ),
    ] = 10.0,
    fresh: FreshOption = False,
    config: ConfigOption = None,
    settings: SetOption = None,
    as_json: JsonReportOption = False,
) -> None:
    """Adapt the question-answering model to your own text, and keep what helps.

    It is trained on the text, and on --questions where there are some, and measured on what was held out: untrained,
    adapted, BM25, and all together. `openrealm ask` then answers with the best. Stages completed with the same settings
    are skipped, and interrupted training is resumed.
    """
    from openrealm.cli.show import show_report
    from openrealm.run.budget import DEFAULT_MINUTES
    from openrealm.run.pipeline import folder_run

    require_questions(questions, regex)
    source = absolute(folder)
    target = run_folder(name or run_name(source))
    given = [*settings_from(config), f"name={target.name}", f"corpus.source={source}", *(settings or ())]
    given += ["corpus.skip_unreadable=true"] if skip_unreadable else []
    words = ["run", folder, *(["--run", name] if name else [])]
    words += ["--questions", str(questions)] if questions else []
    words += ["--regex"] if regex else []
    words += ["--skip-unreadable"] if skip_unreadable else []
    words += ["--minutes", f"{minutes:g}"] if minutes != DEFAULT_MINUTES else []
    words += ["--config", str(config)] if config else []
    with stoppable(again(*words, settings=settings)):
        report = folder_run(target, given, questions=questions, regex=regex, minutes=minutes, fresh=fresh)
    show_report(report, target, as_json=as_json)


def run_name(source: str) -> str:
    """A name for a run: its source's file or folder name in letters, digits, dots, dashes and underscores."""
    from openrealm.corpus.sources.lines import COMPRESSIONS
    from openrealm.corpus.sources.row_formats import ROW_ENDINGS

    stem = Path(source).resolve().name
    for ending in (*COMPRESSIONS, *ROW_ENDINGS, ".xml"):
        stem = stem.removesuffix(ending)
    return re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "run"
