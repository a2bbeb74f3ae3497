"""`openrealm runs`: list, compare and delete runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from openrealm.cli.common import RUNS, run_folder
from openrealm.errors import BadInput
from openrealm.progress import say, visible

runs = typer.Typer(invoke_without_command=True, rich_markup_mode=None)

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RunsArgument = Annotated[list[str], typer.Argument(metavar="RUN", help="A run: a name under runs/, or a path.")]


@runs.callback()
def listed(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the runs under runs/, with what each can do and how well, and the documents that were asked without one."""
    if context.invoked_subcommand is None:
        _list(as_json=as_json)


@runs.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the runs under runs/, as `openrealm runs` does."""
    _list(as_json=as_json)


@runs.command()
def compare(names: RunsArgument, as_json: JsonOption = False) -> None:
    """Show runs side by side: how well they answer, and the settings in which they differ."""
    from openrealm.cli.show import show_json
    from openrealm.cli.show_runs import show_comparison
    from openrealm.run import listing

    found = listing.compare([run_folder(name) for name in names])
    show_json(found) if as_json else show_comparison(found)


@runs.command()
def delete(
    names: RunsArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
) -> None:
    """Delete runs with everything that belongs to them, after asking.

    Documents that were asked without a run are given as `openrealm runs` lists them: documents/NAME.
    """
    from openrealm.cli.show_runs import in_words
    from openrealm.run import listing

    folders = [_folder(name) for name in names]
    found = [listing.entry(folder) for folder in folders]
    if not yes and not sys.stdin.isatty():
        raise BadInput("Deleting runs has to be confirmed; add --yes where nobody can be asked.")
    for entry, folder in zip(found, folders, strict=True):
        if yes or _is_confirmed(f"Delete {in_words(entry)}?"):
            listing.delete(folder)
            say(f"Deleted {folder}.")


def _is_confirmed(question: str) -> bool:
    try:
        return input(f"{visible(question)} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _folder(name: str) -> Path:
    """The folder of a run, or of documents as they are listed."""
    listed = RUNS / name
    return listed if name.startswith("documents/") and listed.is_dir() else run_folder(name)


def _list(*, as_json: bool) -> None:
    from openrealm.cli.show import show_json
    from openrealm.cli.show_runs import show_entries
    from openrealm.run import listing

    found = listing.entries(RUNS)
    show_json(found) if as_json else show_entries(found, RUNS)
