"""The command `openrealm`: its sub-commands, and how every error reaches the user as one sentence."""

from __future__ import annotations

import os
from typing import Annotated

import typer

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

# Libraries below would else print bars and warnings of their own between ours.
_QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
_INTERRUPTED = 130

app = typer.Typer(
    name="openrealm",
    help="Train a language model that looks things up, and ask it with its sources.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
for _name, _command in (
    ("quickstart", quickstart.quickstart),
    ("run", run.run),
    ("ask", ask.ask),
    ("warm-start", warm_start.warm_start),
    ("index", index.index),
    ("pretrain", pretrain.pretrain),
    ("finetune", finetune.finetune),
    ("evaluate", evaluate.evaluate),
    ("convert", convert.convert),
    ("config", config.config),
):
    app.command(_name)(_command)
app.add_typer(base.base, name="base")
app.add_typer(corpus.corpus, name="corpus")
app.add_typer(tagger.tagger, name="tagger")


def _show_version(wanted: bool) -> None:
    if wanted:
        import openrealm

        print(f"openrealm {openrealm.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Train a language model that looks things up, and ask it with its sources."""


@interrupt.remembered()
def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code: 2 for a user's error, 130 after Ctrl-C, 1 for an error of ours."""
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
        return _told(str(error), 2)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _told(f"{place}{error.strerror or error}; free space or mend permissions, and run it again.", 2)
    except Exception as error:
        message = " ".join(str(error).split())
        kind = type(error).__name__
        return _told(f"internal error: {kind}: {message}; OPENREALM_DEBUG=1 shows where. Please report it.", 1)
    return 0


def _told(sentence: str, code: int) -> int:
    say(f"openrealm: {sentence}")
    return code
