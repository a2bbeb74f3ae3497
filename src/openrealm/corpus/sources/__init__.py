"""Where articles come from: one file for every kind of source, and `open_source`, which picks it by path or name.

Each file has a `read(...)` that yields cleaned articles in an order that is the same on every machine.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from openrealm.errors import BadInput
from openrealm.types import Article

ArticleFactory = Callable[[], Iterator[Article]]

FACTBOOK = "factbook"
_WIKIPEDIA, _DATASETS = "wikipedia:", "datasets:"
_JSONL_ENDINGS = (".jsonl", ".jsonl.xz", ".jsonl.gz", ".jsonl.zst", ".jsonl.bz2")
_DUMP_NAME = re.compile(r".*\.xml(?:-p\d+p\d+\S*)?(?:\.bz2)?")  # parts of a dump are named by their page numbers


def is_name(source: str) -> bool:
    """Whether a source is a name, rather than a path that means something else in another folder."""
    return source == FACTBOOK or source.startswith((_WIKIPEDIA, _DATASETS))


def open_source(
    path_or_name: str, *, prose_only: bool = False, salvage: bool = False, num_workers: int | None = None
) -> tuple[ArticleFactory, dict[str, Any]]:
    """A function that reads the source anew, and a description of the source for the corpus' manifest.

    path_or_name  a name: "factbook", "wikipedia:WIKI:DATE" (fetched once), "datasets:NAME?split=...";
                  or a path: a folder or one file of .txt .md .html .pdf, a .jsonl (also .xz .gz .zst .bz2), a .parquet
                  file, a MediaWiki dump (.xml, .xml.bz2), or a folder that WikiExtractor wrote
    prose_only    Factbook only: leave out what is mostly numbers
    salvage       dumps only: keep what is whole of a damaged one, instead of stopping
    num_workers   dumps only: processes that read pages; none is one for each core
    The description gains "skipped" (what was left out and why, counted) once the articles were read.
    Raises BadInput when there is no such source or its ending is not known.
    """
    if is_name(path_or_name):
        return _named(path_or_name, prose_only, salvage, num_workers)
    path = Path(path_or_name).expanduser()
    if not path.exists():
        raise BadInput(
            f'{path_or_name} does not exist; give a folder, a .jsonl or .parquet file, a dump, or "{FACTBOOK}".'
        )
    description: dict[str, Any] = {"kind": _kind(path), "name": path.resolve().name}
    return _factory(path, description, salvage, num_workers), description


def _named(
    name: str, prose_only: bool, salvage: bool, num_workers: int | None
) -> tuple[ArticleFactory, dict[str, Any]]:
    if name == FACTBOOK:
        factbook = importlib.import_module("openrealm.factbook.source")

        return lambda: factbook.read(prose_only=prose_only), {"kind": "factbook", "prose_only": prose_only}
    if name.startswith(_WIKIPEDIA):
        from openrealm.corpus.sources import mediawiki, wikipedia

        dump = wikipedia.Dump.named(name)
        about: dict[str, Any] = {"kind": "wikipedia", "wiki": dump.wiki, "date": dump.date}
        return lambda: mediawiki.read(dump.fetch(), salvage=salvage, num_workers=num_workers, description=about), about
    from openrealm.corpus.sources import datasets

    wanted = datasets.Wanted.named(name)
    return lambda: datasets.read(wanted), {"kind": "datasets", "name": name}


def _kind(path: Path) -> str:
    name = path.name.lower()
    if path.is_dir():
        from openrealm.corpus.sources import wikiextractor

        return "wikiextractor" if wikiextractor.wrote(path) else "folder"
    if name.endswith(_JSONL_ENDINGS):
        return "jsonl"
    if _DUMP_NAME.fullmatch(name):
        return "mediawiki"
    return "parquet" if name.endswith(".parquet") else "file"


def _factory(path: Path, description: dict[str, Any], salvage: bool, num_workers: int | None) -> ArticleFactory:
    kind = description["kind"]
    if kind == "jsonl":
        from openrealm.corpus.sources import jsonl

        return lambda: jsonl.read(path)
    if kind == "parquet":
        from openrealm.corpus.sources import parquet

        return lambda: parquet.read(path)
    if kind == "mediawiki":
        from openrealm.corpus.sources import mediawiki

        return lambda: mediawiki.read(path, salvage=salvage, num_workers=num_workers, description=description)
    if kind == "wikiextractor":
        from openrealm.corpus.sources import wikiextractor

        return lambda: wikiextractor.read(path, skipped=description.setdefault("skipped", {}))
    from openrealm.corpus.sources import folder

    return lambda: folder.read(path, skipped=description.setdefault("skipped", {}))
