"""What the commands share: options, which run and configuration are meant, and what Ctrl-C says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openrealm import interrupt
from openrealm.errors import BadInput, MissingStage
from openrealm.progress import say

if TYPE_CHECKING:
    from openrealm.config import Config
    from openrealm.run.folder import Run

RUNS = Path("runs")
DEFAULT_RUN = "quickstart"

RunOption = Annotated[str, typer.Option("--run", metavar="FOLDER", help="The run's folder, or its name below runs/.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, such as pretrain.num_steps=100; repeatable."),
]
RecipeOption = Annotated[
    str | None,
    typer.Option("--recipe", metavar="NAME", help="Start from quickstart, quickstart-minilm, small or paper."),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Read settings from a TOML or YAML file; --set overrides them."),
]
QueriesOption = Annotated[
    str | None,
    typer.Option("--queries", metavar="FOLDER", help="Mask the text of this corpus, or run, instead of the run's own."),
]
QuestionsOption = Annotated[
    Path | None,
    typer.Option("--questions", metavar="FILE", help='JSONL file with "question" and "answer" on each line.'),
]
RegexOption = Annotated[
    bool,
    typer.Option("--regex", help="The answers of --questions are regular expressions, as CuratedTREC's are."),
]


def require_questions(questions: Path | None, regex: bool) -> None:
    """Raises BadInput where --regex stands alone, since it says nothing then."""
    if regex and questions is None:
        raise BadInput("--regex says how the answers of a file are read; give the file too, with --questions FILE.")


def run_folder(name: str) -> Path:
    """The folder that --run means: a run's path, or else a name below runs/."""
    path = Path(name).expanduser()
    is_path = "/" in name or path.is_absolute() or (path / "stages").is_dir()
    return path if is_path else RUNS / name


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
    """An existing run with its settings changed; a recipe named replaces them all."""
    from openrealm.config import with_settings
    from openrealm.run.folder import Run

    folder = run_folder(name)
    found = Run.open(folder)
    config = found.config if recipe_name is None else _named(recipe_name, folder, found.config.corpus.source)
    given = [*settings_from(config_file), f"name={config.name}"]
    return Run(folder, with_settings(config, [*given, *(settings or ())]))


def new_run_for(
    name: str,
    source: str | None,
    settings: Sequence[str] | None,
    recipe_name: str | None,
    config_file: Path | None = None,
) -> Run:
    """A run for its first stage, from a recipe where there is none yet (the quickstart's, or `small` with a source)."""
    from openrealm.config import with_settings
    from openrealm.run.folder import Run

    folder = run_folder(name)
    if (folder / "config.json").exists() and recipe_name is None:
        config = Run.open(folder).config
    else:
        config = _named(recipe_name or ("small" if source else DEFAULT_RUN), folder, None)
    given = [*settings_from(config_file), f"name={config.name}"]
    given += [f"corpus.source={absolute(source)}"] if source else []
    return Run(folder, with_settings(config, [*given, *(settings or ())]))


def absolute(source: str) -> str:
    """A source so that it is found from any folder; a source by name, such as the Factbook, has no path."""
    from openrealm.corpus.sources import is_name

    return source if is_name(source) else str(Path(source).expanduser().absolute())


def _named(recipe_name: str, folder: Path, source: str | None) -> Config:
    from openrealm.config import with_settings
    from openrealm.recipes.catalogue import recipe

    given = [f"corpus.source={source}"] if source else []
    return with_settings(recipe(recipe_name), [f"name={folder.name}", *given])


def newest_answering_run() -> Path:
    """The run below runs/ whose REALM was fine-tuned last; MissingStage when there is none."""
    from openrealm.run.folder import Run

    found = [path.parent for path in RUNS.glob("*/config.json")]
    ready = [folder for folder in found if Run.open(folder).is_finished("finetune_realm")]
    if not ready:
        raise MissingStage(
            f"No run below {RUNS.absolute()} can answer yet; train one with `openrealm quickstart` or "
            "`openrealm run FOLDER`, or name one with --run."
        )
    return max(ready, key=lambda folder: (folder / "stages" / "finetune_realm.json").stat().st_mtime)


@contextlib.contextmanager
def stoppable(how_to_go_on: str) -> Iterator[None]:
    """After Ctrl-C one line says how to go on, and the command ends with code 130."""
    try:
        yield
        interrupt.check()
    except KeyboardInterrupt:
        say(f"Stopped. Go on with: {how_to_go_on}")
        raise typer.Exit(130) from None


def queries_settings(queries: str | None) -> list[str]:
    """What --queries sets."""
    return [] if queries is None else [f"pretrain.queries={run_folder(queries).absolute()}"]


def again(*words: str, settings: Sequence[str] | None = None) -> str:
    """A command as the user would type it again, quoted for a shell."""
    import shlex

    options = [part for setting in settings or () for part in ("--set", setting)]
    return shlex.join(["openrealm", *words, *options])


def say_next(command: str) -> None:
    """What to do after a stage."""
    say(f"Next: {command}")
