"""PDF files, read by pypdf."""

from __future__ import annotations

import re
from pathlib import Path

from openrealm.corpus.clean import check_line_lengths
from openrealm.corpus.readers import Document
from openrealm.corpus.readers.lines import pages_of, pieces
from openrealm.errors import BadInput, NotInstalled

_SPLIT_WORD = re.compile(r"(?<=[^\W\d_])-\n(?=[a-z])")


def read(path: Path) -> Document:
    """The text layer of a PDF. Raises NotInstalled without pypdf, BadInput when the file is damaged."""
    try:
        import pypdf
    except ModuleNotFoundError as error:
        raise NotInstalled(f'Reading {path} needs pypdf; install it with: pip install "openrealm[pdf]".') from error
    try:
        reader = pypdf.PdfReader(path)
        pages = [page.extract_text() for page in reader.pages]
    except Exception as error:  # a damaged PDF makes the library raise nearly anything
        raise BadInput(f"{path} could not be read as PDF ({error}); repair it or remove it.") from error
    text = _SPLIT_WORD.sub("", "\n".join(pages))
    check_line_lengths(text, str(path))
    return Document("", tuple(pieces(pages_of(text), slack=0.15)))
