"""Markdown files."""

from __future__ import annotations

from html import unescape
from pathlib import Path

from openrealm.corpus.readers import Document, Piece
from openrealm.corpus.readers.decode import read_text
from openrealm.corpus.readers.markup import markdown_to_text


def read(path: Path) -> Document:
    """The document as a reader of the rendered page sees it."""
    counts: dict[str, int] = {}
    title, text = markdown_to_text(read_text(path, counts=counts))
    return Document(unescape(title), (Piece(unescape(text)),), counts)
