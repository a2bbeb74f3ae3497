"""`openrealm convert`: convert weights from and to other projects."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from openrealm.progress import say


def convert(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE",
            help="Weights to convert: one openrealm model folder, or the parts of one model as Hugging Face REALM "
            "folders, TensorFlow checkpoints (the name before .index) or .npz archives.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to create; must not already exist.")],
    form: Annotated[
        Literal["openrealm", "huggingface", "sentence-transformers", "onnx"],
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="Format to convert to: openrealm, huggingface, onnx, or sentence-transformers (also for txtai and "
            "Haystack).",
        ),
    ] = "openrealm",
    tokenizer: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder with tokenizer.json or vocab.txt, if the sources have none."),
    ] = None,
    records: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Passages (.jsonl, .parquet, .txt) of the vectors in block_emb; adds a corpus and an index.",
        ),
    ] = None,
    index: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Index whose vectors are saved as Hugging Face's block_emb.")
    ] = None,
    num_heads: Annotated[
        int | None,
        typer.Option(
            "--heads",
            min=1,
            metavar="N",
            show_default="one per 64 hidden units",
            help="Attention heads of a TensorFlow checkpoint.",
        ),
    ] = None,
    max_passage_tokens: Annotated[
        int, typer.Option(min=8, metavar="N", help="Longest passage in --records, in word pieces.")
    ] = 288,
) -> None:
    """Convert weights from and to other projects.

    Tensors are matched by name, and unknown, missing or misshapen ones are reported. Pickles (.bin, .npy files of
    objects) are never read.
    """
    from openrealm.convert.run import Options
    from openrealm.convert.run import convert as run

    for line in run(sources, out, form, Options(tokenizer, records, index, num_heads, max_passage_tokens)):
        say(line)
