"""`openrealm benchmark`: compare systems on real questions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openrealm.cli.common import (
    ConfigOption,
    SetOption,
    absolute,
    again,
    settings_from,
    stoppable,
    training_folder,
)
from openrealm.errors import BadInput
from openrealm.progress import show


def benchmark(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE", help="Text to search: folders or files, read as one corpus."),
    ],
    questions: Annotated[
        list[str],
        typer.Option(
            "--questions",
            metavar="NAME=FILE",
            help='A set of questions: JSON lines with "question", "answer" and perhaps the gold "passage". Repeatable.',
        ),
    ],
    regex: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A set whose answers are regular expressions (CuratedTREC). Repeatable."),
    ] = None,
    systems: Annotated[
        list[str] | None,
        typer.Option(
            "--system",
            metavar="NAME",
            show_default="bm25, start, orqa, realm, hybrid",
            help="A system to measure; an unknown name lists them all. Repeatable.",
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.01, metavar="M", help="Time for each training, in minutes of its steps.")
    ] = 5.0,
    cpu_time: Annotated[
        bool, typer.Option("--cpu-time", help="Measure that time in CPU time, which is fair on a shared machine.")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Number of seeds, from 0.")] = 1,
    max_questions: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Take no more than N questions from each file.")
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Folder to work in: a name under runs/, or a path.")
    ] = "open-qa",
    out: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Where to write results, without .json and .md; by default in the folder."),
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Compare how well systems find passages for real questions, with the same encoder, budget and seeds.

    Recall is zero-shot: no system has seen a question. Settings are those of the recipe open-qa. What was measured is
    kept, so that a stopped benchmark continues, and systems and seeds can be added.
    """
    from openrealm.benchmarks.benchmark import benchmark as run
    from openrealm.benchmarks.results import markdown
    from openrealm.benchmarks.systems import DEFAULT
    from openrealm.cli.show import show_json
    from openrealm.config import with_settings
    from openrealm.recipes.open_qa import open_qa

    sets = dict(_named_file(given) for given in questions)
    folder = training_folder(name, name)
    words = ["benchmark", *sources, *_repeated("--questions", questions), *_repeated("--regex", regex)]
    words += [*_repeated("--system", systems), "--minutes", f"{minutes:g}", "--seeds", str(seeds), "--name", name]
    words += ["--cpu-time"] if cpu_time else []
    words += _repeated("--max-questions", [max_questions] if max_questions else [])
    words += [*_repeated("--out", [out] if out else []), *_repeated("--config", [config] if config else [])]
    with stoppable(again(*words, settings=settings)):
        found = run(
            [absolute(source) for source in sources],
            sets,
            folder,
            regex=regex or (),
            systems=systems or DEFAULT,
            minutes=minutes,
            cpu_time=cpu_time,
            seeds=range(seeds),
            max_questions=max_questions,
            config=with_settings(open_qa(), [*settings_from(config), *(settings or ())]),
            out=out,
        )
    show_json(found) if as_json else show(markdown(found), end="")


def _named_file(given: str) -> tuple[str, Path]:
    name, equals, file = given.partition("=")
    if not (name and equals and file):
        raise BadInput(f"--questions {given} is not NAME=FILE, such as nq=nq-open.dev.jsonl.")
    return name, Path(file)


def _repeated(option: str, values: object) -> list[str]:
    return [word for value in values or () for word in (option, str(value))]  # type: ignore[attr-defined]
