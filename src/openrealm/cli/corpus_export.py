"""`openrealm corpus export`: the passages of a corpus, and their vectors, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openrealm.cli.common import DEFAULT_RUN, RunOption, again, run_folder, stoppable
from openrealm.errors import BadInput


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Parquet file to write.")],
    run: RunOption = DEFAULT_RUN,
    vectors: Annotated[
        bool, typer.Option("--vectors", help="Also write the vectors of the newest index, in the column embedding.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write the passages of a corpus to a Parquet file, which `datasets`, pandas and DuckDB read.

    The columns are id, title, text, article_id, start and end (characters of the article) and place. Documents that
    were asked without a run are exported by their folder: --run runs/documents/NAME.
    """
    from openrealm.progress import say

    if file.is_dir():
        raise BadInput(f"{file} is a folder; give the name of a file.")
    if file.exists() and not force:
        raise BadInput(f"{file} exists; give another name, or replace it with --force.")
    words = ["corpus", "export", str(file), "--run", run, *(["--vectors"] if vectors else [])]
    with stoppable(again(*words, *(["--force"] if force else []))):
        from openrealm.corpus.corpus import Corpus

        folder = run_folder(run)
        corpus = Corpus.open(folder / "corpus", verify=True)
        what = f"{len(corpus):,} passages"
        if vectors:
            from openrealm.index.index import Index

            index = Index.open(folder / "index", corpus)
            corpus.to_parquet(file, index.vector_ND)
            what += f" with vectors of {index.vector_ND.shape[1]} dimensions (index {index.name})"
        else:
            corpus.to_parquet(file)
        say(f"{what} in {file}")
