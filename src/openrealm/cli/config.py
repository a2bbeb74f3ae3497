"""`openrealm config`: every setting with its value, default, meaning and source."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openrealm.cli.common import ConfigOption, RecipeOption, SetOption, run_folder
from openrealm.errors import BadInput
from openrealm.progress import show

if TYPE_CHECKING:
    from openrealm.section import Section, Setting


class Format(StrEnum):
    """How `openrealm config` prints."""

    text = "text"
    toml = "toml"
    yaml = "yaml"
    json = "json"


def config(
    sections: Annotated[
        list[str] | None, typer.Argument(metavar="SECTION", help="Show only these sections, such as pretrain.")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="NAME", help="Show the settings of a run: a name under runs/, or a path."),
    ] = None,
    base: Annotated[bool, typer.Option("--base", help="Show the settings of `openrealm base train`.")] = False,
    qa: Annotated[bool, typer.Option("--qa", help="Show the settings of `openrealm qa train`.")] = False,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    format: Annotated[
        Format, typer.Option("--format", help="Output format; toml, yaml and json can be saved to a file for --config.")
    ] = Format.text,
) -> None:
    """Show every setting with its value, default, meaning and source.

    Without --run, --recipe, --base or --qa, values are the defaults, which are the paper's except for the encoder.
    """
    chosen = _chosen(_start(run, recipe, base, qa), config, settings)
    if sections and format is not Format.text:
        raise BadInput("SECTION works with --format text only; the other formats print the whole configuration.")
    if format is Format.text:
        _show(chosen, sections or [])
    elif format is Format.json:
        from openrealm.cli.show import safe_json

        show(safe_json(chosen.to_dict(), indent=1))
    else:
        from openrealm.config_file import file_text

        show(file_text(chosen, "toml" if format is Format.toml else "yaml"), end="")


def _chosen(start: Section, file: Path | None, settings: list[str] | None) -> Section:
    from openrealm.config_file import read_settings
    from openrealm.section import with_settings

    given = read_settings(file, type(start)) if file else []
    return with_settings(start, [*given, *(settings or ())])


def _start(run: str | None, recipe: str | None, base: bool, qa: bool) -> Section:
    if (run is not None) + (recipe is not None) + base + qa > 1:
        raise BadInput("--run, --recipe, --base and --qa are mutually exclusive; give only one of them.")
    if base:
        from openrealm.base.settings import BaseSettings

        return BaseSettings()
    if qa:
        from openrealm.qa.settings import QaSettings

        return QaSettings()
    if run is not None:
        from openrealm.run.folder import Run

        return Run.open(run_folder(run)).config
    if recipe is not None:
        from openrealm.recipes.catalogue import recipe as recipe_named

        return recipe_named(recipe)
    from openrealm.config import Config

    return Config()


def _show(config: Section, sections: list[str]) -> None:
    from openrealm.section import known_settings

    by_section: dict[str, list[tuple[Setting, Any]]] = {}
    for key, setting in known_settings(type(config)).items():
        owner, _, name = key.rpartition(".")
        by_section.setdefault(owner, []).append((setting, getattr(getattr(config, owner) if owner else config, name)))
    unknown = [name for name in sections if name not in by_section]
    if unknown:
        raise BadInput(f"There is no section {unknown[0]!r}; choose from {', '.join(filter(None, by_section))}.")
    shown = {name: rows for name, rows in by_section.items() if not sections or name in sections}
    if sys.stdout.isatty():
        _show_tables(config, shown)
    else:
        _print_lines(shown)


def _print_lines(shown: dict[str, list[tuple[Setting, Any]]]) -> None:
    """One line per setting."""
    from openrealm.cli.show import one_line
    from openrealm.section import written

    for rows in shown.values():
        for setting, value in rows:
            source = f" [{setting.source}]" if setting.source else ""
            default = written(setting.default) or "empty"
            show(f"{setting.key}={one_line(written(value))}  # {setting.meaning} (default: {default}){source}")


def _show_tables(config: Section, shown: dict[str, list[tuple[Setting, Any]]]) -> None:
    """A table per section; values that differ from the default are bold."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from openrealm.cli.show import one_line
    from openrealm.config import SOURCES
    from openrealm.section import written

    console = Console(highlight=False, markup=False, emoji=False)
    for name, rows in shown.items():
        doc = (getattr(config, name) if name else config).__doc__ or ""
        console.print(Text(f"\n{name or config.key or 'run'}", style="bold underline"), Text(doc.partition("\n")[0]))
        table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
        for column in ("setting", "value", "default", "meaning [source]"):
            table.add_column(Text(column), overflow="fold")
        for setting, value in rows:
            style = "" if value == setting.default else "bold"
            meaning = Text(setting.meaning)
            meaning.append(f" [{setting.source}]" if setting.source else "", style="dim")
            table.add_row(
                Text(setting.key.rpartition(".")[2], style=style),
                Text(one_line(written(value)), style=style),
                Text(written(setting.default), style="dim"),
                meaning,
            )
        console.print(table)
    console.print(Text("\nsources", style="bold underline"))
    for name, title in SOURCES.items():
        console.print(Text(f"{name}: {title}"))
