"""`openrealm ask`: answer questions and show where the answers come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from openrealm.cli.asking import (
    AskedOption,
    DocumentSettingsOption,
    DocumentsOption,
    FinishedRunOption,
    ForceOption,
    JsonLinesOption,
    OutOption,
    QuestionArgument,
    Saved,
    SystemOption,
    TrecOption,
    asked,
    chosen,
    documents_config,
    kept_folder,
    results_of,
    typed,
)
from openrealm.cli.common import SkipUnreadableOption, absolute, again, latest_finished_run, run_folder, stoppable

if TYPE_CHECKING:
    from openrealm.config import Config
    from openrealm.serve.answerer import Answerer
    from openrealm.types import Answer


def ask(
    question: QuestionArgument = None,
    corpus: DocumentsOption = None,
    run: FinishedRunOption = None,
    system: SystemOption = None,
    questions: AskedOption = None,
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
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="YYYY-MM-DD",
            help="Answer from the passages that are valid on this day. Rows have the dates valid_from and valid_to.",
            show_default="all passages",
        ),
    ] = None,
    skip_unreadable: SkipUnreadableOption = False,
    settings: DocumentSettingsOption = None,
    out: OutOption = None,
    trec: TrecOption = None,
    force: ForceOption = False,
    as_json: JsonLinesOption = False,
) -> None:
    """Answer questions from documents or from a run, and show the passages that the answers come from.

    With --corpus, documents are cut into passages, embedded and kept under runs/documents/, so that the next question
    is answered at once; what has changed is read again. --out saves answers with all passages read, and --trec these
    passages alone, in the order of the reader's scores.
    """
    from openrealm.cli.show import show_answer

    which = chosen(corpus, run, system)
    config = documents_config(corpus, settings or ())
    given = asked(question, questions)
    saved = Saved(out, trec, given, force=force)
    words = [*([question] if question else []), *which, *(["--questions", str(questions)] if questions else [])]
    words += [*(["--as-of", as_of] if as_of else []), *(["--skip-unreadable"] if skip_unreadable else []), *saved.words]
    with stoppable(again("ask", *words, settings=settings)):
        answerer = _answerer(corpus, run, system, config, skip_unreadable=skip_unreadable)
        answerer = answerer if as_of is None else answerer.as_of(as_of)
        for text in typed() if not given else ():
            show_answer(answerer.ask(text, threshold=threshold), as_json=as_json)
        for one, answer in results_of(
            given, saved, "answering", lambda texts: answerer.ask(texts, threshold=threshold)
        ):
            if saved:
                saved.add(one, answer, _ranking(answer))
            else:
                show_answer(answer, as_json=as_json, single=question is not None)
        saved.write()


def _ranking(answer: Answer) -> list[tuple[str, float]]:
    passages = () if answer.source is None else (answer.source, *answer.runners_up)
    return [(passage.passage_id, passage.score) for passage in passages]


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
