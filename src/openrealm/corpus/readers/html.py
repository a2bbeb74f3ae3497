"""HTML files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from openrealm.corpus.readers import Document
from openrealm.corpus.readers.decode import read_text
from openrealm.corpus.readers.page import read_page, with_positions


def read(path: Path) -> Document:
    """The page as a browser shows it."""
    remarks: dict[str, int] = {}
    source = read_text(path, declared=True, counts=remarks)
    return replace(read_page(with_positions(source), source), remarks=remarks)
