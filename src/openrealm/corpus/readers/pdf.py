"""PDF files, read by PDFium in a child process, because a small file can expand to gigabytes.

One child reads many files; `close` ends it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from openrealm.corpus.box import Box
from openrealm.corpus.readers import Document, Piece
from openrealm.corpus.readers.decode import read_bytes
from openrealm.corpus.readers.pdf_worker import MAX_CHARACTERS
from openrealm.errors import BadInput, NotInstalled

MAX_SECONDS = 120.0
"""CPU time for a file; a book of 600,000 words takes 5 s."""

MAX_BYTES = 1 << 30
"""Memory for a file."""

_WHY = {
    "time": f"takes more than {MAX_SECONDS:.0f} s to read; remove it, or save it again with another program",
    "memory": "takes more than 1 GB of memory to read; remove it, or save it again with another program",
    "crash": "crashes PDFium; remove it, or save it again with another program",
    "length": f"has more than {MAX_CHARACTERS:,} characters of text; split it",
    "password": "needs a password; remove the password or the file",
    "damage": "is damaged and could not be read as PDF; repair it or remove it",
}
_box = Box("openrealm.corpus.readers.pdf_worker", MAX_SECONDS, MAX_BYTES)


def read(path: Path) -> Document:
    """The text layer of a PDF, page by page; pages without one are counted.

    A file that is encrypted without a password is read. Raises NotInstalled without PDFium, BadInput when the file is
    damaged, needs a password, has too much text, or takes more than MAX_SECONDS or MAX_BYTES.
    """
    if importlib.util.find_spec("pypdfium2") is None:
        raise NotInstalled(f'Reading {path} needs pypdfium2; install it with: pip install "openrealm[pdf]".')
    found = _box.ask(read_bytes(path))
    if "poison" in found:
        raise BadInput(f"{path} {_WHY[found['poison']]}.")
    return Document(found["title"], tuple(Piece(*piece) for piece in found["pieces"]), found["counts"])


def close() -> None:
    """End the child process, if there is one; the next file starts another."""
    _box.close()
