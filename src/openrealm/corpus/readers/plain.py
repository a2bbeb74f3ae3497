"""Plain text files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from openrealm.corpus.readers import Document
from openrealm.corpus.readers.decode import read_text
from openrealm.corpus.readers.heads import without_heads
from openrealm.corpus.readers.lines import pages_of, pieces
from openrealm.types import DEFAULT_LIMITS, Limits


def read(path: Path, limits: Limits = DEFAULT_LIMITS) -> Document:
    """The paragraphs of a text file; hard-wrapped lines are joined, also over the pages of a printed document."""
    remarks: dict[str, int] = {}
    return replace(read_plain(read_text(path, limits, counts=remarks)), remarks=remarks)


def read_plain(text: str) -> Document:
    """Same as `read`, for text; positions are offsets in it."""
    pages, num_dropped = without_heads(pages_of(text))
    counts = {"page header or footer": num_dropped} if num_dropped else {}
    return Document("", tuple(pieces(pages)), counts)
