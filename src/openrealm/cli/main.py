"""The command `openrealm`: its subcommands, and how every error reaches the user as one sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from openrealm import interrupt
from openrealm.cli import (
    ask,
    base,
    config,
    convert,
    corpus,
    evaluate,
    finetune,
    index,
    pretrain,
    quickstart,
    run,
    tagger,
    warm_start,
)
from openrealm.errors import OpenRealmError
from openrealm.progress import say

# Keeps progress bars and warnings of libraries out of the output.
_QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
_INTERRUPTED = 130

# All commands by section of the help, in the order in which a user meets them.
COMMANDS: dict[str, dict[str, Callable[..., Any] | typer.Typer]] = {
    "Whole runs": {
        "quickstart": quickstart.quickstart,
        "run": run.run,
        "ask": ask.ask,
    },
    "Stages of a run, in order": {
        "corpus": corpus.corpus,
        "warm-start": warm_start.warm_start,
        "pretrain": pretrain.pretrain,
        "index": index.index,
        "finetune": finetune.finetune,
        "evaluate": evaluate.evaluate,
    },
    "Other models": {
        "base": base.base,
        "tagger": tagger.tagger,
        "convert": convert.convert,
    },
    "Settings": {
        "config": config.config,
    },
}


class _Sections(TyperGroup):
    """Lists the commands by section."""

    def list_commands(self, ctx: Any) -> list[str]:
        known = [name for section in COMMANDS.values() for name in section]
        return [*known, *(name for name in self.commands if name not in known)]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = max(map(len, self.commands))
        for title, section in COMMANDS.items():
            with formatter.section(title):
                limit = formatter.width - width - 4
                rows = [(name.ljust(width), self.commands[name].get_short_help_str(limit)) for name in section]
                formatter.write_dl(rows)


_SUMMARY = "Train language models that retrieve what they need to know, and ask them questions."
app = typer.Typer(
    cls=_Sections,
    name="openrealm",
    help=_SUMMARY,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
for _section in COMMANDS.values():
    for _name, _command in _section.items():
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, name=_name)
        else:
            app.command(_name)(_command)


def _show_version(wanted: bool) -> None:
    if wanted:
        import openrealm

        print(f"openrealm {openrealm.__version__}")
        raise typer.Exit


@app.callback(help=_SUMMARY)
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the command itself."""


@interrupt.remembered()
def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 2 for a user's error, 130 after Ctrl-C, 1 for a bug."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if os.environ.get("OPENREALM_DEBUG") == "1":
        app(arguments)
    try:
        app(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OpenRealmError as error:
        return _fail(str(error), 2)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"{place}{error.strerror or error}; free space or check permissions, then rerun the command.", 2)
    except Exception as error:
        message = " ".join(str(error).split())
        kind = type(error).__name__
        return _fail(f"internal error: {kind}: {message}; set OPENREALM_DEBUG=1 to see where, and please report it.", 1)
    return 0


def _fail(sentence: str, code: int) -> int:
    say(f"openrealm: {sentence}")
    return code
