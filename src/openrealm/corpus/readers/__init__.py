"""Readers of single files: one module per kind of file, found by extension, each of which returns a `Document`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from typing import Literal, NamedTuple, cast

from openrealm.corpus.clean import clean_code, clean_text, clean_title
from openrealm.types import Article, Limits, Line

Joint = Literal["\n", " ", ""]


class Piece(NamedTuple):
    """A paragraph, heading, list item, table row or block of code, with its place in the file as in `types.Line`.

    Prose and headings have line breaks only where a reader of the rendered document sees them; code is kept verbatim.
    `joint` stands between a piece and the one before it: "\\n", or " " or "" if it continues the same paragraph.
    """

    text: str
    position: int = 0
    part: int = 0
    kind: Literal["prose", "heading", "code"] = "prose"
    joint: Joint = "\n"


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says: its pieces in reading order.

    title    the document's own, or ""
    counts   what could not be read, by reason, such as {"page without text": 3}
    remarks  what was assumed to read it, such as {"file read as windows-1252": 1}
    """

    title: str
    pieces: tuple[Piece, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    remarks: Mapping[str, int] = field(default_factory=dict)

    def article(self, article_id: str, name: str) -> Article:
        """The document as an article; `name` is its title if it has none of its own."""
        texts: list[str] = []
        lines: list[Line] = []
        start = 0
        joint = ""
        for piece in self.pieces:
            joint = piece.joint if joint != "\n" else joint
            text = clean_code(piece.text) if piece.kind == "code" else clean_text(piece.text, entities=False)
            if text:
                texts += [joint, text] if texts else [text]
                start += len(joint) if lines else 0
                lines.append(Line(start, piece.position, piece.part, piece.kind == "heading"))
                start += len(text)
                joint = ""
        title = clean_title(self.title, entities=False) or name
        return Article(article_id, title, "".join(texts), lines=tuple(lines))

    def titled_by_heading(self) -> Document:
        """The document with its first heading as title."""
        heading = next((piece.text for piece in self.pieces if piece.kind == "heading"), "")
        return replace(self, title=heading.replace("\n", " "))


def line_starts(text: str) -> list[int]:
    """Where each line of a text begins, and where one after its end would.

    >>> line_starts("Lima\\nPeru")
    [0, 5, 10]
    """
    return [0, *accumulate(len(line) + 1 for line in text.split("\n"))]


Reader = Callable[[Path, Limits], Document]

_READERS = {
    ".txt": "plain",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".rst": "rst",
    ".ipynb": "ipynb",
    ".epub": "epub",
    ".docx": "docx",
}
EXTENSIONS = tuple(_READERS)
"""Lower-case extensions of the files that can be read."""

_OWN = (".txt",)

EXTRAS = {".pdf": "pdf", ".rst": "rst", ".docx": "office"}
"""Extensions whose reader needs an extra, as in `pip install "openrealm[rst]"`; without it, NotInstalled is raised."""


def is_own(extension: str) -> bool:
    """Whether files with this extension are read by our own code alone, which takes time linear in their length."""
    return extension in _OWN


def reader_of(extension: str) -> Reader:
    """The reader of files with an extension of EXTENSIONS; its libraries are imported only now."""
    return cast(Reader, import_module(f"openrealm.corpus.readers.{_READERS[extension]}").read)
