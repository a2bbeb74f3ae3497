"""`python -m openrealm.cli.reference FILE` writes the command line reference, docs/cli.md, from the commands."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from openrealm import files
from openrealm.cli.main import COMMANDS, app

_INTRODUCTION = """# Command line reference

<!-- Generated from the commands by `make docs`; do not edit. -->

Every command has `--help`, and takes these options before or after its name:

| option | meaning |
|---|---|
| `-q, --quiet` | Print results, warnings and errors only: no progress, no hints. |
| `--log-level LEVEL` | What to print on standard error: debug, info (the default), warning or error. \
debug also shows where an error arose. The environment variable `OPENREALM_LOG_LEVEL` does the same. |

Results go to standard output and everything else to standard error, so that `--json` can be piped.
`openrealm --version` prints the version.

| exit code | meaning |
|---|---|
| 0 | Success. |
| 1 | A bug, reported in one line; `OPENREALM_DEBUG=1` shows the traceback. |
| 2 | The command could not be carried out: wrong arguments, missing or damaged files, a full disk. \
One sentence says what was expected and what to do. |
| 128 + N | Stopped by signal N, such as 130 after Ctrl-C and 143 after SIGTERM; \
the command to continue is printed. |

`openrealm --install-completion` sets up completion of commands and options in the shell that it is run from (bash, zsh,
fish or PowerShell); open a new shell afterwards. `openrealm --show-completion` prints the script instead.
"""
_DESCRIBED_DEFAULT = re.compile(r"\[default: \(([^)]*)\)")  # how a default is shown that is described in words


def reference() -> str:
    """The reference of all commands as Markdown."""
    root = typer.main.get_command(app)
    context = typer.Context(root, info_name="openrealm")
    parts = [_INTRODUCTION]
    for title, section in COMMANDS.items():
        parts.append(f"## {title}\n")
        for name in section:
            parts += _entries(root.get_command(context, name), f"openrealm {name}", context)  # type: ignore[attr-defined]
    return "\n".join(parts)


def _entries(command: Any, path: str, parent: Any) -> Iterator[str]:
    """The entry of a command and those of its subcommands."""
    context = typer.Context(command, info_name=path.rpartition(" ")[2], parent=parent)
    subcommands = [command.get_command(context, name) for name in getattr(command, "commands", ())]
    parameters = [p for p in command.params if p.get_help_record(context)]
    arguments = [_usage(p) for p in parameters if p.param_type_name == "argument"]
    if not subcommands or command.invoke_without_command:
        yield f"### `{path}`\n"
        yield f"```text\n{' '.join([path, *arguments])} [OPTIONS]\n```\n"
        yield inspect.cleandoc(command.help) + "\n"
        rows = [_row(parameter, context) for parameter in parameters]
        yield "\n".join(["| argument or option | meaning |", "|---|---|", *rows]) + "\n"
    for subcommand in subcommands:
        yield from _entries(subcommand, f"{path} {subcommand.name}", context)


def _usage(argument: Any) -> str:
    name = argument.metavar if argument.required else f"[{argument.metavar}]"
    return f"{name}..." if argument.nargs == -1 else str(name)


def _row(parameter: Any, context: Any) -> str:
    name, meaning = parameter.get_help_record(context)
    if parameter.param_type_name == "argument":
        name = parameter.metavar
    meaning = _DESCRIBED_DEFAULT.sub(r"[default: \1", meaning)
    return f"| `{_escaped(name)}` | {_escaped(meaning)} |"


def _escaped(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    files.write_text(Path(sys.argv[1]), reference())
