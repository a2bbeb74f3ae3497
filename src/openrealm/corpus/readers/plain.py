"""Plain text files."""

from __future__ import annotations

from pathlib import Path

from openrealm.corpus.clean import unwrapped
from openrealm.corpus.readers import Document, Piece
from openrealm.corpus.readers.decode import read_text


def read(path: Path) -> Document:
    """The paragraphs of a text file; hard-wrapped lines are joined."""
    counts: dict[str, int] = {}
    return Document("", (Piece(unwrapped(read_text(path, counts=counts))),), counts)
