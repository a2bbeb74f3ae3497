"""HTML files."""

from __future__ import annotations

from pathlib import Path

from openrealm.corpus.readers import Document, Piece
from openrealm.corpus.readers.decode import read_text
from openrealm.corpus.readers.markup import html_to_text


def read(path: Path) -> Document:
    """The page as a browser shows it."""
    counts: dict[str, int] = {}
    title, text = html_to_text(read_text(path, declared=True, counts=counts))
    return Document(title, (Piece(text),), counts)
