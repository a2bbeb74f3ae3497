"""What the commands share that take questions: their options, where questions come from, and files of results."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from openrealm.cli.common import RUNS
from openrealm.errors import BadInput
from openrealm.progress import counted, say, track
from openrealm.run.systems import SYSTEMS

if TYPE_CHECKING:
    from openrealm.config import Config
    from openrealm.serve.asked import Asked
    from openrealm.types import Answer, Retrieval

T = TypeVar("T")

_AT_ONCE = 16
_READERS = ", ".join(name for name, system in SYSTEMS.items() if system.reads_passages)
_KEPT = RUNS / "documents"
_PROMPT = "Question (Ctrl-D ends): "

QuestionArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[QUESTION]",
        help="The question, in quotes. Without one, questions are read from standard input, one per line; on a "
        "terminal they are asked for.",
        show_default=False,
    ),
]
DocumentsOption = Annotated[
    str | None,
    typer.Option(
        "--corpus",
        metavar="SOURCE",
        help="Documents to use without training: a folder, or a .jsonl, .json, .tsv, .csv or .parquet file.",
    ),
]
FinishedRunOption = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="NAME",
        show_default="the latest finished run",
        help="Run to use: a name under runs/, or a path to its folder.",
    ),
]
SystemOption = Annotated[
    str | None,
    typer.Option(
        "--system", metavar="NAME", help=f"Fine-tuned system of the run: {_READERS}.", show_default="the best"
    ),
]
AskedOption = Annotated[
    Path | None,
    typer.Option(
        "--questions",
        metavar="FILE",
        help='Read questions from a file, one per line: text, or JSON such as {"question": …}, perhaps with an "id".',
    ),
]
DocumentSettingsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="With --corpus: change how the documents are read, such as corpus.max_file_mb=1024. Repeatable.",
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Save the results as JSON lines instead of printing them."),
]
TrecOption = Annotated[
    Path | None,
    typer.Option("--trec", metavar="FILE", help="Save the passages as a TREC run file instead of printing them."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the files of --out and --trec if they exist.")]
JsonLinesOption = Annotated[
    bool, typer.Option("--json", help="Print results as JSON; several questions give one line each.")
]


def chosen(corpus: str | None, run: str | None, system: str | None) -> list[str]:
    """The options that say what is asked, as words of a command. Raises BadInput if they exclude each other."""
    if corpus is not None and (run is not None or system is not None):
        raise BadInput("--corpus takes documents without a run; give either --corpus or --run and --system.")
    given = {"--corpus": corpus, "--run": run, "--system": system}
    return [word for name, value in given.items() if value is not None for word in (name, value)]


def documents_config(corpus: str | None, settings: Sequence[str]) -> Config:
    """The configuration of documents with the settings of --set, which may change those of the corpus.

    Raises BadInput for other settings, and for any without --corpus.
    """
    from openrealm.config import with_settings
    from openrealm.recipes.documents import documents

    if settings and corpus is None:
        raise BadInput("--set changes how documents are read, so it needs --corpus; a run keeps its own settings.")
    for setting in settings:
        key = setting.partition("=")[0].strip()
        if not key.startswith("corpus.") or key == "corpus.source":
            raise BadInput(
                f"--set cannot change {key} with --corpus; it takes the settings of a corpus, such as "
                "corpus.max_file_mb=1024."
            )
    return with_settings(documents(), settings)


def asked(question: str | None, questions: Path | None) -> list[Asked]:
    """The questions of a command; none if they are to be typed at a prompt. Raises BadInput."""
    from openrealm.serve.asked import Asked, questions_in

    if question is not None and questions is not None:
        raise BadInput("Give either a question or --questions FILE.")
    if question is not None:
        return [Asked("1", question)]
    if questions is not None:
        return questions_in(_lines(questions), str(questions))
    return [] if sys.stdin.isatty() else questions_in(sys.stdin.buffer.read().splitlines(), "standard input")


def _lines(file: Path) -> list[bytes]:
    try:
        return file.read_bytes().splitlines()
    except OSError as error:
        raise BadInput(f"{file} could not be read ({error.strerror}); give a file of questions.") from error


def typed() -> Iterator[str]:
    """Questions typed at a prompt, until the end of input."""
    import readline  # noqa: F401  makes input() remember and edit lines

    while True:
        try:
            line = input(_PROMPT)
        except EOFError:
            return
        if line.strip():
            yield line


def kept_folder(source: str) -> Path:
    """Where the corpus and the index of documents are kept: a name that people recognise, and a digest of the path."""
    from openrealm.cli.run import run_name
    from openrealm.files import digest_of

    return _KEPT / f"{run_name(source)}-{digest_of(source)[:8]}"


class Saved:
    """The files of --out and --trec: results are collected, and written together at the end."""

    def __init__(self, out: Path | None, trec: Path | None, questions: Sequence[Asked], *, force: bool) -> None:
        """Raises BadInput if a file exists, or if there are no questions to answer."""
        self._out, self._trec, self._force = out, trec, force
        self._num_questions = len(questions)
        self._lines: list[str] = []
        self._rankings: dict[str, list[tuple[str, float]]] = {}
        for path in filter(None, (out, trec)):
            if path.is_dir():
                raise BadInput(f"{path} is a folder; give the name of a file.")
            if path.exists() and not force:
                raise BadInput(f"{path} exists; give another name, or replace it with --force.")
        if self and not questions:
            raise BadInput("--out and --trec save the results of questions that are given; add --questions FILE.")
        if out is not None and out == trec:
            raise BadInput(f"--out and --trec both name {out}; give each its own file.")
        if trec is not None:
            _check_ids(questions)

    def __bool__(self) -> bool:
        """Whether there is anything to save."""
        return self._out is not None or self._trec is not None

    @property
    def words(self) -> list[str]:
        """The options, as words of a command that is given again."""
        files = {"--out": self._out, "--trec": self._trec}
        words = [word for name, path in files.items() if path is not None for word in (name, str(path))]
        return [*words, *(["--force"] if self._force else [])]

    def add(self, question: Asked, result: Answer | Retrieval, ranking: list[tuple[str, float]]) -> None:
        """Take the result of a question, and its passages by descending score."""
        if self._out is not None:
            line = json.dumps({"id": question.id, **dataclasses.asdict(result)}, ensure_ascii=False)
            self._lines.append(f"{line}\n")
        if self._trec is not None:
            self._rankings[question.id] = ranking

    def write(self) -> None:
        """Write the files, and say which."""
        from openrealm import files
        from openrealm.evaluate.trec import run_text

        texts = {self._out: "".join(self._lines), self._trec: run_text(self._rankings)}
        for path, text in texts.items():
            if path is not None:
                files.write_text(path, text)
                say(f"Saved {counted({'question': self._num_questions})} with their results: {path}")


def results_of(
    given: Sequence[Asked], saved: Saved, what: str, answer: Callable[[list[str]], Sequence[T]]
) -> Iterator[tuple[Asked, T]]:
    """Each question with its result, from `answer`; with the progress of `what`, unless results are printed."""
    with track(what, len(given)) if saved else contextlib.nullcontext() as advance:
        for start in range(0, len(given), _AT_ONCE):
            part = given[start : start + _AT_ONCE]
            yield from zip(part, answer([one.text for one in part]), strict=True)
            if advance is not None:
                advance(len(part))


def _check_ids(questions: Sequence[Asked]) -> None:
    """Raise BadInput if the ids of questions cannot stand in a TREC run file."""
    seen = set()
    for question in questions:
        if question.id in seen:
            raise BadInput(f"Two questions have the id {question.id}; a TREC run file needs one for each.")
        if question.id.split() != [question.id]:
            raise BadInput(f"The id {question.id!r} is empty or has spaces, which separate the columns of a TREC run.")
        seen.add(question.id)
