"""Where articles come from: one file for every kind of source, and `open_source`, which picks it by path or name.

Each file has a `read(...)` that yields cleaned articles in an order that is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from openrealm.errors import BadInput
from openrealm.types import Article

ArticleFactory = Callable[[], Iterator[Article]]

FACTBOOK = "factbook"
_JSONL_ENDINGS = (".jsonl", ".jsonl.xz", ".jsonl.gz", ".jsonl.zst")


def open_source(path_or_name: str, *, prose_only: bool = False) -> tuple[ArticleFactory, dict[str, Any]]:
    """A function that reads the source anew, and a description of the source for the corpus' manifest.

    path_or_name  "factbook", or a path: a folder or one file of .txt .md .html .pdf, a .jsonl (also .xz .gz .zst),
                  or a .parquet file
    prose_only    Factbook only: leave out what is mostly numbers
    The description gains "skipped" (what was left out and why, counted) once the articles were read.
    Raises BadInput when there is no such source or its ending is not known.
    """
    if path_or_name == FACTBOOK:
        from openrealm.corpus.sources import factbook

        return lambda: factbook.read(prose_only=prose_only), {"kind": "factbook", "prose_only": prose_only}
    path = Path(path_or_name).expanduser()
    if not path.exists():
        raise BadInput(f'{path_or_name} does not exist; give a folder, a .jsonl or .parquet file, or "{FACTBOOK}".')
    description: dict[str, Any] = {"kind": _kind(path), "name": path.resolve().name}
    return _factory(path, description), description


def _kind(path: Path) -> str:
    name = path.name.lower()
    if path.is_dir():
        return "folder"
    if name.endswith(_JSONL_ENDINGS):
        return "jsonl"
    return "parquet" if name.endswith(".parquet") else "file"


def _factory(path: Path, description: dict[str, Any]) -> ArticleFactory:
    if description["kind"] == "jsonl":
        from openrealm.corpus.sources import jsonl

        return lambda: jsonl.read(path)
    if description["kind"] == "parquet":
        from openrealm.corpus.sources import parquet

        return lambda: parquet.read(path)
    from openrealm.corpus.sources import folder

    return lambda: folder.read(path, skipped=description.setdefault("skipped", {}))
