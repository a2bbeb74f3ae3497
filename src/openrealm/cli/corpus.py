"""`openrealm corpus`: text into passages; `openrealm corpus build SOURCE` the same with the source as a word."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openrealm.cli import corpus_inspect
from openrealm.cli.common import (
    DEFAULT_RUN,
    ConfigOption,
    RecipeOption,
    RunOption,
    SetOption,
    again,
    new_run_for,
    say_next,
    stoppable,
)
from openrealm.errors import BadInput

corpus = typer.Typer(
    invoke_without_command=True, help="Cut text into passages; tag names and dates.", rich_markup_mode=None
)
_SOURCE = (
    "A folder, a .jsonl[.xz|.gz|.zst] or .parquet file, a dump (.xml.bz2), 'factbook', 'wikipedia:WIKI:DATE' "
    "or 'datasets:NAME'."
)
_WORD = f"'wikipedia', with --wiki and --date, or: {_SOURCE}"

SalvageOption = Annotated[
    bool, typer.Option("--salvage", help="Keep what is whole of a damaged dump, and list what is lost.")
]


@corpus.callback()
def from_option(
    context: typer.Context,
    run: RunOption = DEFAULT_RUN,
    source: Annotated[str | None, typer.Option("--source", metavar="PATH_OR_NAME", help=_SOURCE)] = None,
    salvage: SalvageOption = False,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Cut text into passages; tag names and dates."""
    if context.invoked_subcommand is None:
        _build(run, source, salvage, recipe, config, settings)
    elif source or salvage or recipe or config or settings or run != DEFAULT_RUN:
        raise BadInput(f"Options come after the word {context.invoked_subcommand}, which would not see them here.")


corpus.command("inspect")(corpus_inspect.inspect)


@corpus.command("build")
def build(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=_WORD)],
    wiki: Annotated[str | None, typer.Option("--wiki", metavar="WIKI", help="Such as simplewiki or enwiki.")] = None,
    date: Annotated[str | None, typer.Option("--date", metavar="YYYYMMDD", help="The day of the dump.")] = None,
    run: RunOption = DEFAULT_RUN,
    salvage: SalvageOption = False,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Cut the text of a source into passages, fetching it first where it is a wiki's dump."""
    if (source == "wikipedia") != bool(wiki and date) or bool(wiki) != bool(date):
        raise BadInput(
            "--wiki and --date say which dump of wikipedia is meant and belong together, as in: "
            "openrealm corpus build wikipedia --wiki simplewiki --date 20260101."
        )
    _build(run, f"wikipedia:{wiki}:{date}" if wiki else source, salvage, recipe, config, settings)


def _build(
    run: str,
    source: str | None,
    salvage: bool,
    recipe: str | None,
    config: Path | None,
    settings: list[str] | None,
) -> None:
    from openrealm.run.stages import corpus_stage

    given = [*(settings or ()), *(["corpus.salvage=true"] if salvage else [])]
    made = new_run_for(run, source, given, recipe, config)
    with stoppable(again("corpus", "--run", run)), made.writing():
        corpus_stage(made)
    say_next(again("warm-start", "--run", run))
