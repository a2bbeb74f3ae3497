"""HTML and XHTML files."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from openrealm.corpus.clean import check_line_lengths
from openrealm.corpus.readers import Document
from openrealm.corpus.readers.decode import read_text
from openrealm.corpus.readers.page import read_page, with_positions
from openrealm.types import DEFAULT_LIMITS, Limits

# Empty in XML; in HTML, what follows would belong to the element.
_EMPTY = re.compile(r"<(?=(?:script|style|title|iframe|textarea|noscript|xmp)\b[^<>]*/>)\w", re.IGNORECASE)


def without_empty_elements(source: str) -> str:
    """XHTML as HTML of the same length: elements that are empty in XML alone get a name that no browser knows."""
    return _EMPTY.sub("<x", source)


def read(path: Path, limits: Limits = DEFAULT_LIMITS) -> Document:
    """The page as a browser shows it. Lines of the source may have any length, as a minified page is a single one."""
    remarks: dict[str, int] = {}
    source = read_text(path, limits, declared=True, counts=remarks)
    source = without_empty_elements(source) if path.suffix.lower() == ".xhtml" else source
    document = read_page(with_positions(source), source)
    for piece in document.pieces:
        check_line_lengths(piece.text, str(path), limits)
    return replace(document, remarks=remarks)
