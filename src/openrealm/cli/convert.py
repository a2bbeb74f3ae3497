"""`openrealm convert`: weights of other projects into ours, and ours into theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from openrealm.progress import say


def convert(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="Hugging Face REALM folders, TensorFlow checkpoints (the name before .index) or .npz archives, whose "
            "parts make one model; or one model folder of ours.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The folder to make; it must not be there yet.")],
    form: Annotated[
        Literal["openrealm", "huggingface", "sentence-transformers"],
        typer.Option("--to", help="What to make of it."),
    ] = "openrealm",
    tokenizer: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="With tokenizer.json or vocab.txt, if the sources have none."),
    ] = None,
    records: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The passages (.jsonl, .parquet, .txt) that block_emb has the vectors of."),
    ] = None,
    index: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="An index whose vectors become Hugging Face's block_emb.")
    ] = None,
    num_heads: Annotated[
        int | None,
        typer.Option("--heads", min=1, help="Attention heads of a TensorFlow checkpoint; else one for every 64."),
    ] = None,
    max_passage_tokens: Annotated[
        int, typer.Option(min=8, help="Word pieces that one of the --records may have.")
    ] = 288,
) -> None:
    """Convert weights from and to other projects, by name.

    Every tensor that is unknown, missing or misshapen is named. Pickles (.bin, .npy of objects) are never read."""
    from openrealm.convert.run import Wanted
    from openrealm.convert.run import convert as run

    for line in run(sources, out, form, Wanted(tokenizer, records, index, num_heads, max_passage_tokens)):
        say(line)
