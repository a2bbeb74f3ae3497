"""`openrealm base train`: train your own small base encoder."""

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

base = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@base.callback()
def _group() -> None:
    """Train a small base encoder."""


@base.command()
def train(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE", help="Texts to train on: 'factbook', folders, .jsonl[.xz|.gz|.zst] or .parquet files."
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="Folder to train in: a name under runs/, or a path.",
            show_default="openrealm-mini",
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.01, metavar="MINUTES", help="Train for this many minutes instead of num_steps steps."),
    ] = None,
    resume: ResumeIfAnyOption = False,
    tiny: Annotated[bool, typer.Option("--tiny", help="Train a toy encoder on 200 articles in seconds.")] = False,
    device: DeviceOption = "auto",
    config: ConfigOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting of the encoder or its training, such as num_layers=3. Repeatable.",
        ),
    ] = None,
) -> None:
    """Train a vocabulary and a small BERT that can retrieve passages and copy from them.

    The weights are saved in runs/NAME/model, a folder that model.backbone accepts. With torchrun, all processes train
    one encoder together.
    """
    import torch

    from openrealm.base.prepare import tiny as tiny_settings
    from openrealm.base.prepare import train_base
    from openrealm.base.settings import BaseSettings
    from openrealm.config import Config, with_settings
    from openrealm.config_file import read_settings
    from openrealm.engine import engine_for, num_cores

    start = tiny_settings(BaseSettings()) if tiny else BaseSettings()
    given = read_settings(config, BaseSettings) if config else []
    chosen = with_settings(start, [*given, *(settings or ())])
    folder = training_folder(name, chosen.name)
    engine = engine_for(Config(device=device))
    torch.set_num_threads(1 if tiny else num_cores())
    words = [*sources, *(["--name", name] if name else []), *(["--minutes", str(minutes)] if minutes else [])]
    words += ["--tiny"] if tiny else []
    words += ["--config", str(config)] if config else []
    with stoppable(again("base", "train", *words, "--resume", settings=settings)):
        model = train_base(
            [absolute(source) for source in sources],
            folder,
            chosen,
            engine,
            minutes=minutes,
            resume=resume,
            max_articles=200 if tiny else None,
        )
    say(f"To use the encoder: --set model.backbone={model}")
