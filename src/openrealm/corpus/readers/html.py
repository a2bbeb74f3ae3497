"""HTML files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from openrealm.corpus.clean import check_line_lengths
from openrealm.corpus.readers import Document
from openrealm.corpus.readers.decode import read_text
from openrealm.corpus.readers.page import read_page, with_positions


def read(path: Path) -> Document:
    """The page as a browser shows it. Lines of the source may have any length, as a minified page is a single one."""
    remarks: dict[str, int] = {}
    source = read_text(path, declared=True, counts=remarks)
    document = read_page(with_positions(source), source)
    for piece in document.pieces:
        check_line_lengths(piece.text, str(path))
    return replace(document, remarks=remarks)
