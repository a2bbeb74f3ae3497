"""The command `openrealm`: its subcommands, and how every error reaches the user as one sentence."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from openrealm import interrupt, launch
from openrealm.cli import (
    ask,
    base,
    benchmark,
    config,
    convert,
    corpus,
    evaluate,
    experiment,
    finetune,
    index,
    pretrain,
    qa,
    quickstart,
    run,
    runs,
    search,
    serve,
    streams,
    tagger,
    warm_start,
    watch,
)
from openrealm.errors import OpenRealmError, SeveralBadInputs
from openrealm.progress import LOGGER, fail, say, show, warn
from openrealm.text.surrogates import has_surrogates

# Keeps progress bars and warnings of libraries out of the output.
_QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
_TRAINING = ("warm-start", "pretrain", "finetune", "base", "qa", "tagger")
# After an error all processes of a training report it, unless torchrun ends them first because the first one has.
_SECONDS_BEFORE_REPORT = 3.0

# All commands by section of the help, in the order in which a user meets them.
COMMANDS: dict[str, dict[str, Callable[..., Any] | typer.Typer]] = {
    "Whole runs": {
        "quickstart": quickstart.quickstart,
        "run": run.run,
        "ask": ask.ask,
        "search": search.search,
        "serve": serve.serve,
        "watch": watch.watch,
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
        "qa": qa.qa,
        "tagger": tagger.tagger,
        "convert": convert.convert,
    },
    "Comparisons": {
        "runs": runs.runs,
        "benchmark": benchmark.benchmark,
        "experiment": experiment.experiment,
    },
    "Settings": {
        "config": config.config,
    },
}
_NAMES = {name for section in COMMANDS.values() for name in section}


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


class LogLevel(StrEnum):
    """How much is printed on standard error."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


_SUMMARY = "Train language models that retrieve what they need to know, and ask them questions."
app = typer.Typer(
    cls=_Sections,
    name="openrealm",
    help=_SUMMARY,
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

        show(f"openrealm {openrealm.__version__}")
        raise typer.Exit


@app.callback(help=_SUMMARY)
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print results, warnings and errors only: no progress, no hints.")
    ] = False,
    log_level: Annotated[
        LogLevel | None,
        typer.Option(
            "--log-level",
            help="What to print on standard error; debug also shows where an error arose.",
            envvar="OPENREALM_LOG_LEVEL",
            show_default="info",
        ),
    ] = None,
) -> None:
    """Options of the command itself."""
    level = log_level or (LogLevel.warning if quiet else LogLevel.info)
    LOGGER.setLevel(level.upper())


def _hoisted(words: list[str]) -> list[str]:
    """The words of a command with the options of every command at the front, wherever they were given."""
    end = words.index("--") if "--" in words else len(words)
    general: list[str] = []
    others: list[str] = []
    rest = iter(words[:end])
    for word in rest:
        if word in ("--quiet", "-q") or word.startswith("--log-level="):
            general.append(word)
        elif word == "--log-level":
            general += [word, *([value] if (value := next(rest, None)) is not None else [])]
        else:
            others.append(word)
    return [*general, *others, *words[end:]]


@interrupt.remembered()
def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 2 for a user's error, 128 + N if stopped by signal N, 1 for a bug."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if streams.prepare():
        warn("openrealm: standard output is closed, so nothing is printed there.")
    words = _hoisted(sys.argv[1:] if arguments is None else arguments)
    for word in words:
        if has_surrogates(word):
            return _fail(f"{word} is not text in UTF-8; rename the file, or use a locale in UTF-8.", 2)
    command = next((word for word in words if word in _NAMES), "")
    if launch.num_ranks() > 1 and command in _NAMES - {*_TRAINING}:
        return _fail(f"`{command}` runs in one process; start it without torchrun ({', '.join(_TRAINING)} train).", 2)
    if os.environ.get("OPENREALM_DEBUG") == "1":
        app(words, prog_name="openrealm")
    try:
        code = app(words, prog_name="openrealm", standalone_mode=False)
        streams.flush()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        return interrupt.exit_code()
    except BaseException as error:
        return _failed(error)
    if code == 128 + signal.SIGINT:  # typer's code after any KeyboardInterrupt
        return interrupt.exit_code()
    return code if isinstance(code, int) else 0


def _failed(error: BaseException) -> int:
    """Print what an error means for the user; returns the exit code."""
    from openrealm.memory import lacks_memory

    if LOGGER.isEnabledFor(logging.DEBUG):
        for line in traceback.format_exception(error):
            say(line.rstrip())
    if hasattr(error, "format_message"):  # the command line does not parse
        return _show_usage(error)
    if isinstance(error, SeveralBadInputs):
        sentence, *listed = str(error).split("\n")
        return _fail(sentence, 2, listed)
    if isinstance(error, OpenRealmError):
        return _fail(str(error), 2)
    if lacks_memory(error):
        return _fail(
            f"not enough memory ({_in_one_line(error)}); end other programs, raise the limit (ulimit -v, or the "
            "container's), or use smaller batches (num_threads, pretrain.batch_size, finetune.batch_size).",
            2,
        )
    if isinstance(error, BrokenPipeError):
        return 128 + signal.SIGPIPE  # as when a program that is not in Python writes to a reader that has gone
    if isinstance(error, OSError):
        return _fail(_about_files(error), 2)
    if isinstance(error, RuntimeError) and "home directory" in str(error):  # of Path.expanduser
        return _fail("~ stands for a home directory that is not known; write the path without it.", 2)
    kind = type(error).__name__
    return _fail(
        f"internal error: {kind}: {_in_one_line(error)}; set OPENREALM_DEBUG=1 to see where, and please report it.", 1
    )


def _show_usage(error: Any) -> int:
    shown = io.StringIO()
    error.show(file=shown)
    for line in shown.getvalue().splitlines():
        fail(line)
    return int(error.exit_code)


def _about_files(error: OSError) -> str:
    try:
        os.getcwd()
    except OSError:
        return "the working directory has been deleted; change to another folder (cd) and rerun the command."
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}; free space or check permissions, then rerun the command."


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _fail(sentence: str, code: int, listed: Sequence[str] = ()) -> int:
    """Print why the command ends, and lines below it; returns the exit code."""
    if launch.is_first():
        fail(f"openrealm: {sentence}")
        for line in listed:
            fail(line)
    else:
        time.sleep(_SECONDS_BEFORE_REPORT)
        fail(f"openrealm, process {launch.rank()}: {sentence}")
    return code
