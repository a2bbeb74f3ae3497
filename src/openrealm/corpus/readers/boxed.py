"""Reads documents in a child process with limits on time and memory, so that no file can stop the run.

The libraries behind the readers are of many kinds and partly in C, and a small file can expand to gigabytes. One child
reads many files.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from openrealm.corpus.box import Box
from openrealm.corpus.readers import Document, Piece, is_own, reader_of
from openrealm.errors import BadInput, NotInstalled
from openrealm.types import Limits


class DocumentBox(Box):
    """A child process that reads documents; `close` ends it.

    >>> box = DocumentBox(Limits(max_file_seconds=30))
    >>> box.close()
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            "openrealm.corpus.readers.boxed_worker", limits.max_file_seconds, limits.max_file_memory_mb << 20
        )
        self._bounds = limits
        self._why = {
            "time": f"takes more than {limits.max_file_seconds:g} s to read; remove it, save it again with another "
            "program, or raise corpus.max_file_seconds",
            "memory": f"takes more than {limits.max_file_memory_mb:,} MB of memory to read; remove it, save it again "
            "with another program, or raise corpus.max_file_memory_mb",
            "crash": "crashes the library that reads it; remove it, or save it again with another program",
        }

    def read(self, path: Path) -> Document:
        """A file's document, as its reader returns it.

        Raises what the reader raises, BadInput for a file over the limits or one that crashes the reader.
        """
        extension = path.suffix.lower()
        if is_own(extension):
            return reader_of(extension)(path, self._bounds)
        order = {"path": str(path), "limits": dataclasses.asdict(self._bounds)}
        found = self.ask(json.dumps(order).encode())
        if "poison" in found:
            raise BadInput(f"{path} {self._why[found['poison']]}.")
        if "unreadable" in found:
            raise BadInput(found["unreadable"])
        if "missing" in found:
            raise NotInstalled(found["missing"])
        pieces = tuple(Piece(*piece) for piece in found["pieces"])
        return Document(found["title"], pieces, found["counts"], found["remarks"])
