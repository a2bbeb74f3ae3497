"""`openrealm ask`: answer questions and show where the answers come from."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openrealm.cli.common import (
    RUNS,
    SkipUnreadableOption,
    absolute,
    again,
    latest_finished_run,
    run_folder,
    stoppable,
)
from openrealm.errors import BadInput
from openrealm.run.systems import SYSTEMS

if TYPE_CHECKING:
    from openrealm.config import Config
    from openrealm.serve.answerer import Answerer

_READERS = ", ".join(name for name, system in SYSTEMS.items() if system.reads_passages)
_KEPT = RUNS / "documents"
_AT_ONCE = 16
_PROMPT = "Question (Ctrl-D ends): "


def ask(
    question: Annotated[
        str | None,
        typer.Argument(
            metavar="[QUESTION]",
            help="The question, in quotes. Without one, questions are read from standard input, one per line; on a "
            "terminal they are asked for.",
            show_default=False,
        ),
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            "--corpus",
            metavar="SOURCE",
            help="Documents to ask without training: a folder, or a .jsonl, .json, .tsv, .csv or .parquet file.",
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="NAME",
            show_default="the latest finished run",
            help="Run to ask: a name under runs/, or a path to its folder.",
        ),
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(
            "--system",
            metavar="NAME",
            help=f"Fine-tuned system of the run: {_READERS}.",
            show_default="the best",
        ),
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(
            "--questions",
            metavar="FILE",
            help='Ask the questions in a file, one per line: text, or JSON such as {"question": …}.',
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="P",
            help="Answer only if the answer is right with at least this probability, as calibrated.",
            show_default="the model's own",
        ),
    ] = None,
    skip_unreadable: SkipUnreadableOption = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="With --corpus: change how the documents are read, such as corpus.max_file_mb=1024. Repeatable.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print answers as JSON; several questions give one line each.")
    ] = False,
) -> None:
    """Answer questions from documents or from a run, and show the passages that the answers come from.

    With --corpus, documents are cut into passages, embedded and kept under runs/documents/, so that the next question
    is answered at once; what has changed is read again.
    """
    from openrealm.cli.show import show_answer
    from openrealm.serve.asked import questions_in

    if corpus is not None and (run is not None or system is not None):
        raise BadInput("--corpus asks documents without a run; give either --corpus or --run and --system.")
    if question is not None and questions is not None:
        raise BadInput("Give either a question or --questions FILE.")
    if settings and corpus is None:
        raise BadInput("--set changes how documents are read, so it needs --corpus; a run keeps its own settings.")
    config = _config(settings or ())
    if question is not None:
        texts = [question]
    elif questions is not None:
        texts = questions_in(_lines(questions), str(questions))
    else:
        texts = [] if sys.stdin.isatty() else questions_in(sys.stdin.buffer.read().splitlines(), "standard input")
    words = [*([question] if question else []), *(["--corpus", corpus] if corpus else [])]
    words += [*(["--run", run] if run else []), *(["--system", system] if system else [])]
    words += ["--questions", str(questions)] if questions else []
    words += ["--skip-unreadable"] if skip_unreadable else []
    with stoppable(again("ask", *words, settings=settings)):
        answerer = _answerer(corpus, run, system, config, skip_unreadable=skip_unreadable)
        if not texts:
            for text in _prompted():
                show_answer(answerer.ask(text, threshold=threshold), as_json=as_json)
            return
        is_single = question is not None
        for start in range(0, len(texts), _AT_ONCE):
            for answer in answerer.ask(texts[start : start + _AT_ONCE], threshold=threshold):
                show_answer(answer, as_json=as_json, single=is_single)


def _lines(file: Path) -> list[bytes]:
    try:
        return file.read_bytes().splitlines()
    except OSError as error:
        raise BadInput(f"{file} could not be read ({error.strerror}); give a file of questions.") from error


def _config(settings: Sequence[str]) -> Config:
    """The configuration of documents with the settings of --set, which may change those of the corpus."""
    from openrealm.config import with_settings
    from openrealm.recipes.documents import documents

    for setting in settings:
        key = setting.partition("=")[0].strip()
        if not key.startswith("corpus.") or key == "corpus.source":
            raise BadInput(
                f"ask --corpus cannot change {key}; --set takes the settings of a corpus, such as "
                "corpus.max_file_mb=1024."
            )
    return with_settings(documents(), settings)


def _answerer(
    corpus: str | None, run: str | None, system: str | None, config: Config, *, skip_unreadable: bool
) -> Answerer:
    if corpus is None:
        folder = latest_finished_run(system) if run is None else run_folder(run)

        from openrealm.serve.answerer import Answerer

        return Answerer.open(folder, system)
    source = absolute(corpus)

    from openrealm.serve.answerer import Answerer

    return Answerer.from_documents(source, kept_folder(source), skip_unreadable=skip_unreadable, config=config)


def kept_folder(source: str) -> Path:
    """Where the corpus and the index of documents are kept: a name that people recognise, and a digest of the path."""
    from openrealm.cli.run import run_name
    from openrealm.files import digest_of

    return _KEPT / f"{run_name(source)}-{digest_of(source)[:8]}"


def _prompted() -> Iterator[str]:
    """Questions typed at a prompt, until the end of input."""
    import readline  # noqa: F401  makes input() remember and edit lines

    while True:
        try:
            line = input(_PROMPT)
        except EOFError:
            return
        if line.strip():
            yield line
