"""`openrealm tagger train`: the paper's tagger from a CoNLL file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openrealm.progress import say

tagger = typer.Typer(help="Train a tagger of names.", no_args_is_help=True, rich_markup_mode=None)


@tagger.callback()
def _group() -> None:
    """Train a tagger of names, for corpus.tagger."""


@tagger.command()
def train(
    data: Annotated[
        Path, typer.Argument(metavar="FILE", help="CoNLL file (.xz, .gz or plain), labels in IOB1 or IOB2.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The folder to make or replace.")],
    heldout: Annotated[
        Path | None, typer.Option("--test", metavar="FILE", help="CoNLL file to measure the trained tagger on.")
    ] = None,
    backbone: Annotated[str, typer.Option(help="A BERT-like encoder: 'minilm', a folder or a hub name.")] = "minilm",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the file.")] = 5,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows a step.")] = 8,
    learning_rate: Annotated[float, typer.Option(min=0, help="Peak rate of the encoder.")] = 1e-4,
    max_tokens: Annotated[int, typer.Option(min=16, help="Word pieces of a window.")] = 128,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and windows.")] = 0,
) -> None:
    """Train a token classifier that finds names, as the paper does on CoNLL-2003."""
    import torch

    from openrealm.config import Config
    from openrealm.engine import engine_for, num_cores
    from openrealm.masking.conll import read_conll
    from openrealm.train.tasks.tagger import TaggerSettings, train_tagger

    documents = read_conll(data)
    heldout_documents = read_conll(heldout) if heldout else None
    settings = TaggerSettings(
        backbone=backbone,
        num_epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        max_tokens=max_tokens,
        seed=seed,
    )
    torch.set_num_threads(num_cores())
    train_tagger(documents, out, settings, engine_for(Config()))
    if heldout_documents is not None:
        from openrealm.train.tasks.tagger import evaluate_tagger

        found = evaluate_tagger(heldout_documents, out)
        parts = ("precision", found.precision), ("recall", found.recall), ("F1", found.f1)
        say(f"{heldout}: " + ", ".join(f"{name} {100 * value:.2f}" for name, value in parts))
    say(f"Use it with: --set corpus.tagger=hf:{out}")
