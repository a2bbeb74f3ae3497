"""`openrealm tagger train`: train the paper's tagger on a CoNLL file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openrealm import launch
from openrealm.progress import say

tagger = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@tagger.callback()
def _group() -> None:
    """Train a named-entity tagger."""


@tagger.command()
def train(
    data: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="CoNLL file to train on (.xz, .gz or plain), with IOB1 or IOB2 labels."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to create or replace.")],
    heldout: Annotated[
        Path | None, typer.Option("--test", metavar="FILE", help="CoNLL file to evaluate the trained tagger on.")
    ] = None,
    backbone: Annotated[
        str,
        typer.Option(
            metavar="ENCODER", help="BERT-like encoder to fine-tune: 'minilm', 'openrealm-mini', a folder or a hub id."
        ),
    ] = "minilm",
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Number of passes over the file.")] = 5,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Windows per batch.")] = 8,
    learning_rate: Annotated[
        float, typer.Option(min=0, metavar="RATE", help="Peak learning rate of the encoder.")
    ] = 1e-4,
    max_tokens: Annotated[int, typer.Option(min=16, metavar="N", help="Word pieces per window.")] = 128,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Random seed.")] = 0,
) -> None:
    """Train a token classifier that tags names, as the paper does on CoNLL-2003."""
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
    if heldout_documents is not None and launch.is_first():
        from openrealm.train.tasks.tagger import evaluate_tagger

        found = evaluate_tagger(heldout_documents, out)
        parts = ("precision", found.precision), ("recall", found.recall), ("F1", found.f1)
        say(f"{heldout}: " + ", ".join(f"{name} {100 * value:.2f}" for name, value in parts))
    say(f"To use the tagger: --set corpus.tagger=hf:{out}")
