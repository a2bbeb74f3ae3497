"""`openrealm search`: find passages for questions, without reading answers from them."""

from __future__ import annotations

from pathlib import Path
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
    from openrealm.serve.search import PassageSearch


def search(
    question: QuestionArgument = None,
    k: Annotated[int, typer.Option("-k", min=1, metavar="K", help="Number of passages for each question.")] = 5,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="NAME",
            help="How to search: dense (by vectors), bm25 (by words) or fused (by both).",
            show_default="as passages to read are found",
        ),
    ] = None,
    corpus: DocumentsOption = None,
    run: FinishedRunOption = None,
    system: SystemOption = None,
    questions: AskedOption = None,
    skip_unreadable: SkipUnreadableOption = False,
    settings: DocumentSettingsOption = None,
    out: OutOption = None,
    trec: TrecOption = None,
    force: ForceOption = False,
    as_json: JsonLinesOption = False,
) -> None:
    """Find the passages for questions in documents or in a run, without reading answers from them.

    A run can be searched before it can answer: its towers and their index are enough. Documents are kept as
    `openrealm ask --corpus` keeps them; with --by bm25 they are not embedded.
    """
    from openrealm.cli.show import show_retrieval

    which = chosen(corpus, run, system)
    config = documents_config(corpus, settings or ())
    given = asked(question, questions)
    saved = Saved(out, trec, given, force=force)
    words = [*([question] if question else []), *which, *(["--questions", str(questions)] if questions else [])]
    words += ["-k", str(k), *(["--by", by] if by else [])]
    words += [*(["--skip-unreadable"] if skip_unreadable else []), *saved.words]
    with stoppable(again("search", *words, settings=settings)):
        passages = _opened(corpus, run, system, by, config, skip_unreadable=skip_unreadable)
        for text in typed() if not given else ():
            show_retrieval(passages.search(text, k, by=by), as_json=as_json)
        for one, found in results_of(given, saved, "searching", lambda texts: passages.search(texts, k, by=by)):
            if saved:
                saved.add(one, found, [(passage.passage_id, passage.score) for passage in found.passages])
            else:
                show_retrieval(found, as_json=as_json, single=question is not None)
        saved.write()


def _opened(
    corpus: str | None, run: str | None, system: str | None, by: str | None, config: Config, *, skip_unreadable: bool
) -> PassageSearch:
    if corpus is None:
        folder: Path = latest_finished_run(system) if run is None else run_folder(run)

        from openrealm.serve.search import PassageSearch

        return PassageSearch.open(folder, system)
    source = absolute(corpus)

    from openrealm.serve.search import PassageSearch

    return PassageSearch.from_documents(
        source, kept_folder(source), skip_unreadable=skip_unreadable, config=config, embed=by != "bm25"
    )
