"""`openrealm corpus add`, `remove` and `update`: change the corpus of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from openrealm.cli.common import DEFAULT_RUN, RunOption, absolute, again, run_folder, stoppable

SourceArgument = Annotated[
    str, typer.Argument(metavar="SOURCE", help="Articles: a folder, a document, or a file of rows such as a .jsonl.")
]


def add(source: SourceArgument, run: RunOption = DEFAULT_RUN) -> None:
    """Add articles to a corpus; one with the id of an article that is there replaces it.

    The indexes of the run's models follow: only new passages are embedded. Models are not trained again.
    """
    _change(run, ["add", source], add=source)


def update(source: SourceArgument, run: RunOption = DEFAULT_RUN) -> None:
    """Replace articles of a corpus by those of a source with the same ids; unknown ids are refused.

    The indexes of the run's models follow, as for `openrealm corpus add`.
    """
    _change(run, ["update", source], add=source, only_known=True)


def remove(
    articles: Annotated[
        list[str],
        typer.Argument(
            metavar="ID...",
            help="Ids of articles: a document's path in its folder, a row's id. A folder's path with / at the end "
            "stands for all documents below it.",
        ),
    ],
    run: RunOption = DEFAULT_RUN,
) -> None:
    """Remove articles from a corpus.

    The indexes of the run's models follow, as for `openrealm corpus add`.
    """
    _change(run, ["remove", *articles], remove=articles)


def _change(
    run: str, words: list[str], *, add: str | None = None, remove: list[str] | None = None, only_known: bool = False
) -> None:
    from openrealm.run.changing import change

    with stoppable(again("corpus", *words, "--run", run)):
        change(run_folder(run), add=None if add is None else absolute(add), remove=remove or (), only_known=only_known)
