"""`openrealm qa train`: train a model that answers questions about any text."""

from __future__ import annotations

from typing import Annotated

import typer

from openrealm.cli.common import (
    ConfigOption,
    DeviceOption,
    ResumeIfAnyOption,
    absolute,
    again,
    stoppable,
    training_folder,
)
from openrealm.progress import say

qa = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@qa.callback()
def _group() -> None:
    """Train a model that answers questions about any text."""


@qa.command()
def train(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Files of questions with their passages: SQuAD's .json, or .jsonl with question, answer, title and "
            "passage; also .xz, .gz, .zst.",
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="Folder to train in: a name under runs/, or a path.",
            show_default="openrealm-qa",
        ),
    ] = None,
    resume: ResumeIfAnyOption = False,
    tiny: Annotated[
        bool, typer.Option("--tiny", help="Train a toy on about 200 of the questions in a minute.")
    ] = False,
    device: DeviceOption = "auto",
    config: ConfigOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting of the model or its training, such as num_steps=1000. Repeatable.",
        ),
    ] = None,
) -> None:
    """Train a span reader on questions, and choose on held-out ones when it is sure enough to answer.

    The model is saved in runs/NAME/model, and answers questions about documents that it has never seen.
    """
    import torch

    from openrealm.config import Config, with_settings
    from openrealm.config_file import read_settings
    from openrealm.engine import engine_for, num_cores
    from openrealm.qa.settings import QaSettings
    from openrealm.qa.train import tiny as tiny_settings
    from openrealm.qa.train import train_qa

    start = tiny_settings(QaSettings()) if tiny else QaSettings()
    given = read_settings(config, QaSettings) if config else []
    chosen = with_settings(start, [*given, *(settings or ())])
    folder = training_folder(name, chosen.name)
    engine = engine_for(Config(device=device))
    torch.set_num_threads(1 if tiny else num_cores())
    words = [*sources, *(["--name", name] if name else [])]
    words += ["--tiny"] if tiny else []
    words += ["--config", str(config)] if config else []
    with stoppable(again("qa", "train", *words, "--resume", settings=settings)):
        model = train_qa(
            [absolute(source) for source in sources],
            folder,
            chosen,
            engine,
            resume=resume,
            max_questions=200 if tiny else None,
        )
    say(f'To use the model: openrealm.Answerer.from_documents("my_docs/", "asked/", model="{model}")')
