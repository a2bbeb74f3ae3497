"""`openrealm corpus`: build a corpus, with the source as an option, or as an argument of `openrealm corpus build`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openrealm.cli import corpus_change, corpus_export, corpus_inspect
from openrealm.cli.common import (
    DEFAULT_RUN,
    ConfigOption,
    RecipeOption,
    RunOption,
    SetOption,
    SkipUnreadableOption,
    new_run_for,
    perform,
)
from openrealm.errors import BadInput
from openrealm.progress import show

corpus = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
_SOURCES = (
    "a folder, a document, a .jsonl, .json, .tsv, .csv or .parquet file, a MediaWiki dump (.xml.bz2), 'qed', "
    "'factbook', 'wikipedia:WIKI:DATE' or 'datasets:NAME'."
)

SalvageOption = Annotated[
    bool, typer.Option("--salvage", help="Recover the intact parts of a damaged dump and list the losses.")
]


@corpus.callback()
def from_option(
    context: typer.Context,
    run: RunOption = DEFAULT_RUN,
    source: Annotated[
        str | None, typer.Option("--source", metavar="PATH_OR_NAME", help=f"Source of the text: {_SOURCES}")
    ] = None,
    salvage: SalvageOption = False,
    skip_unreadable: SkipUnreadableOption = False,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Build a corpus of passages with names and dates.

    With options and without a subcommand it builds the corpus, as `openrealm corpus build` does.
    """
    given = bool(source or salvage or skip_unreadable or recipe or config or settings or run != DEFAULT_RUN)
    if context.invoked_subcommand is None and not given:
        show(context.get_help())
        raise typer.Exit(2)
    if context.invoked_subcommand is None:
        _build(run, source, salvage, skip_unreadable, recipe, config, settings)
    elif given:
        subcommand = context.invoked_subcommand
        raise BadInput(f"Options must come after {subcommand}, as in: openrealm corpus {subcommand} --run NAME.")


@corpus.command("build")
def build(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help=f"Source of the text: 'wikipedia' with --wiki and --date to download a dump, {_SOURCES}",
        ),
    ],
    wiki: Annotated[
        str | None, typer.Option("--wiki", metavar="WIKI", help="Wiki to download, such as simplewiki or enwiki.")
    ] = None,
    date: Annotated[
        str | None, typer.Option("--date", metavar="YYYYMMDD", help="Date of the dump to download.")
    ] = None,
    run: RunOption = DEFAULT_RUN,
    salvage: SalvageOption = False,
    skip_unreadable: SkipUnreadableOption = False,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Build the corpus of a run from a source.

    An interrupted build continues with the shards that are complete. Wikipedia dumps are downloaded first.
    """
    if (source == "wikipedia") != bool(wiki and date) or bool(wiki) != bool(date):
        raise BadInput(
            "--wiki and --date choose a Wikipedia dump and must be given together, as in: "
            "openrealm corpus build wikipedia --wiki simplewiki --date 20260101."
        )
    _build(run, f"wikipedia:{wiki}:{date}" if wiki else source, salvage, skip_unreadable, recipe, config, settings)


corpus.command("inspect")(corpus_inspect.inspect)
corpus.command("export")(corpus_export.export)
corpus.command("add")(corpus_change.add)
corpus.command("remove")(corpus_change.remove)
corpus.command("update")(corpus_change.update)


def _build(
    run: str,
    source: str | None,
    salvage: bool,
    skip_unreadable: bool,
    recipe: str | None,
    config: Path | None,
    settings: list[str] | None,
) -> None:
    given = [*(settings or ()), *(["corpus.salvage=true"] if salvage else [])]
    given += ["corpus.skip_unreadable=true"] if skip_unreadable else []
    perform("corpus", new_run_for(run, source, given, recipe, config), run)
