"""Which file names hold rows, and in which format."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from openrealm.corpus.sources.lines import plain_name
from openrealm.corpus.sources.rows import RowFormat

_MODULES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json_array", ".tsv": "table", ".csv": "table"}
ROW_ENDINGS = (*_MODULES, ".parquet")
"""Endings of the files of rows; all but the last may be followed by that of a compressed file."""


def row_format_of(name: str) -> RowFormat | None:
    """The format of the rows of a file, compressed or not, by its name; None if it holds none."""
    if name.lower().endswith(".parquet"):
        module = "parquet"
    else:
        ending = next((ending for ending in _MODULES if plain_name(name).endswith(ending)), "")
        module = _MODULES.get(ending, "")
    return cast(RowFormat, import_module(f"openrealm.corpus.sources.{module}").FORMAT) if module else None
