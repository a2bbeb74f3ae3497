"""`openrealm run FOLDER`: everything once, on a text of one's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from openrealm.cli.common import (
    ConfigOption,
    QuestionsOption,
    RegexOption,
    SetOption,
    absolute,
    again,
    require_questions,
    run_folder,
    settings_from,
    stoppable,
)


def run(
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="A folder of .txt .md .html .pdf, a .jsonl or a .parquet file.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The run's name below runs/, or a path.")
    ] = None,
    questions: QuestionsOption = None,
    regex: RegexOption = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do again what is done already.")] = False,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Train on your own text, so that you can ask it.

    Without --questions it learns to answer from cloze questions made of the text itself.
    """
    from openrealm.cli.show import show_report
    from openrealm.config import with_settings
    from openrealm.recipes.small import small
    from openrealm.run.pipeline import folder_run

    require_questions(questions, regex)
    source = absolute(folder)
    chosen = name or run_name(source)
    target = run_folder(chosen)
    given = [*settings_from(config), f"name={target.name}", f"corpus.source={source}", *(settings or ())]
    words = ["run", folder, *(["--name", name] if name else [])]
    words += ["--questions", str(questions)] if questions else []
    words += ["--regex"] if regex else []
    words += ["--config", str(config)] if config else []
    with stoppable(again(*words, settings=settings)):
        report = folder_run(target, with_settings(small(), given), given, questions=questions, regex=regex, fresh=fresh)
    show_report(report, target)


def run_name(source: str) -> str:
    """A run's name after its source: letters, digits, dots, dashes and underscores of the file's or folder's name."""
    stem = Path(source).resolve().name
    for ending in (".xz", ".gz", ".zst", ".bz2", ".jsonl", ".parquet", ".xml"):
        stem = stem.removesuffix(ending)
    return re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "run"
