"""What the commands share: options, choosing the run and its configuration, running a stage, and handling Ctrl-C."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openrealm import interrupt, launch
from openrealm.errors import BadInput, MissingStage
from openrealm.progress import say, warn

if TYPE_CHECKING:
    from openrealm.config import Config
    from openrealm.run.folder import Run
    from openrealm.run.stages import Options, Stage
    from openrealm.train.ranks import Ranks

RUNS = Path("runs")
DEFAULT_RUN = "quickstart"

RunOption = Annotated[
    str, typer.Option("--run", metavar="NAME", help="Run to work on: a name under runs/, or a path to its folder.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, such as pretrain.num_steps=100. Repeatable."),
]
RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME",
        help="Recipe to start from: quickstart, factbook, factbook-minilm, small, small-encoder, open-qa, paper.",
    ),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Rerun completed stages.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint.")]
SkipUnreadableOption = Annotated[
    bool, typer.Option("--skip-unreadable", help="Skip and count files and rows that cannot be read.")
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="Read settings from a TOML, YAML or JSON file; --set overrides them."
    ),
]
QueriesOption = Annotated[
    str | None,
    typer.Option(
        "--queries",
        metavar="RUN_OR_CORPUS",
        help="Mask the text of another corpus; passages are retrieved from the run's own.",
    ),
]
DeviceOption = Annotated[
    str, typer.Option(metavar="DEVICE", help="Device to train on: 'auto', 'cpu', 'cuda' or 'cuda:N'.")
]
ResumeIfAnyOption = Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint, if any.")]
QuestionsOption = Annotated[
    Path | None,
    typer.Option(
        "--questions",
        metavar="FILE",
        help='Your own questions: a JSONL file with one {"question": …, "answer": …} per line.',
    ),
]
RegexOption = Annotated[
    bool, typer.Option("--regex", help="Treat the answers in --questions as regular expressions, as in CuratedTREC.")
]
JsonReportOption = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


def require_questions(questions: Path | None, regex: bool) -> None:
    """Raise BadInput if the file of --questions cannot be read, or if --regex is given without it."""
    if questions is not None:
        from openrealm.run.questions import read_questions

        read_questions(questions, regex=regex)
    elif regex:
        raise BadInput("--regex applies to a file of questions; add --questions FILE.")


def run_folder(name: str) -> Path:
    """The folder of the run given by --run: a path, or a name under runs/."""
    path = Path(name).expanduser()
    is_path = "/" in name or path.is_absolute() or (path / "stages").is_dir()
    return path if is_path else RUNS / name


def training_folder(name: str | None, default: str) -> Path:
    """The folder of --name for a model that is no run: a path if it has a slash, else a name under runs/."""
    target = Path(name or default).expanduser()
    return target if "/" in (name or "") else RUNS / target


def settings_from(file: Path | None) -> list[str]:
    """The settings in the file of --config, as --set would take them."""
    if file is None:
        return []
    from openrealm.config import Config
    from openrealm.config_file import read_settings

    return read_settings(file, Config)


def run_for(
    name: str, settings: Sequence[str] | None, recipe_name: str | None = None, config_file: Path | None = None
) -> Run:
    """An existing run with changed settings; a recipe replaces all of them but the source."""
    from openrealm.config import with_settings
    from openrealm.run.folder import Run

    folder = run_folder(name)
    found = Run.open(folder)
    config = found.config if recipe_name is None else _from_recipe(recipe_name, folder, found.config.corpus.source)
    given = [*settings_from(config_file), f"name={config.name}"]
    return Run(folder, with_settings(config, [*given, *(settings or ())]))


def new_run_for(
    name: str,
    source: str | None,
    settings: Sequence[str] | None,
    recipe_name: str | None,
    config_file: Path | None = None,
) -> Run:
    """A run for its first stage: an existing one, or one from a recipe (`small-encoder` for a user's source)."""
    from openrealm.config import with_settings
    from openrealm.run.folder import Run

    folder = run_folder(name)
    if (folder / "config.json").exists() and recipe_name is None:
        config = Run.open(folder).config
    else:
        config = _from_recipe(recipe_name or ("small-encoder" if source else DEFAULT_RUN), folder, None)
    given = [*settings_from(config_file), f"name={config.name}"]
    given += [f"corpus.source={absolute(source)}"] if source else []
    if not (source or settings or recipe_name or config_file or (folder / "config.json").exists()):
        raise BadInput(f"There is no run {name} yet; give its text: openrealm corpus --source PATH --run {name}.")
    return Run(folder, with_settings(config, [*given, *(settings or ())]))


def absolute(source: str) -> str:
    """A source's one absolute path, valid in any working directory, however it was spelled; a name as it is.

    Raises BadInput for a URL.
    """
    from openrealm.corpus.sources import is_name

    if "://" in source:
        raise BadInput(f"{source} is a URL, and nothing is downloaded; download it first, and give the file or folder.")
    return source if is_name(source) else os.path.realpath(os.path.expanduser(source))


def _from_recipe(recipe_name: str, folder: Path, source: str | None) -> Config:
    from openrealm.config import with_settings
    from openrealm.recipes.catalogue import recipe

    given = [f"corpus.source={source}"] if source else []
    return with_settings(recipe(recipe_name), [f"name={folder.name}", *given])


def latest_finished_run(system: str | None = None) -> Path:
    """The run under runs/ that was finished last, or whose `system` was. Raises MissingStage if there is none."""
    from openrealm.run import previous, stages
    from openrealm.run.systems import system_of

    finished: dict[Path, float] = {}
    for path in RUNS.glob("*/config.json"):
        folder = path.parent
        stage = previous.answering_stage(folder) if system is None else stages.get(system_of(system).stage)
        run = previous.readable(folder, stage)
        if stage.is_finished(run):
            finished[folder] = _time_of(run, stage)
    if not finished:
        what = "that can be asked" if system is None else f"with a fine-tuned {system}"
        raise MissingStage(
            f"{RUNS.absolute()} has no run {what}; train one with `openrealm quickstart` or "
            "`openrealm run FOLDER`, or choose a run with --run."
        )
    return max(finished, key=lambda folder: finished[folder])


def _time_of(run: Run, stage: Stage) -> float:
    path = run.records / f"{stage.name}.json"
    return path.stat().st_mtime if path.exists() else 0.0


def perform(stage_name: str, run: Run, called: str, options: Options | None = None) -> Any:
    """Run one stage and suggest the next command; `called` is what the user called the run."""
    from openrealm.run import stages

    stage = stages.get(stage_name)
    with stoppable(lambda: stage.next_command(run, called)), together(run) as ranks:
        result = stage.perform(run, dataclasses.replace(options or stages.Options(), ranks=ranks))
    suggest_next(stage, called)
    return result


@contextlib.contextmanager
def together(run: Run) -> Iterator[Ranks | None]:
    """The processes that torchrun started, of which the first one locks the run; None without torchrun."""
    if launch.num_ranks() == 1:
        with run.writing():
            yield None
        return
    from openrealm.engine import engine_for
    from openrealm.train.ranks import all_ranks

    with (
        all_ranks(engine_for(run.config).device) as ranks,
        run.writing() if ranks.is_first else contextlib.nullcontext(),
    ):
        ranks.wait()
        yield ranks


def suggest_next(stage: Stage, called: str) -> None:
    """Print the command for the stage after this one."""
    from openrealm.run.stages import next_stage

    following = next_stage(stage)
    if following is not None:
        say(f"Next: {following.command_line(called)}")


@contextlib.contextmanager
def stoppable(command: str | Callable[[], str]) -> Iterator[None]:
    """When asked to stop, print the command that continues the work, and exit with the signal's code."""
    try:
        yield
        interrupt.check()
    except KeyboardInterrupt:
        warn(f"Stopped. Continue with: {command if isinstance(command, str) else command()}")
        raise typer.Exit(interrupt.exit_code()) from None


def queries_settings(queries: str | None) -> list[str]:
    """The settings that --queries stands for."""
    return [] if queries is None else [f"pretrain.queries={run_folder(queries).absolute()}"]


def again(*words: str, settings: Sequence[str] | None = None) -> str:
    """A command with its settings as the user would type it, quoted for a shell."""
    import shlex

    options = [part for setting in settings or () for part in ("--set", setting)]
    return shlex.join(["openrealm", *words, *options])
