"""Reads files of rows in a child process with limits on time and memory, so that no file can stop the run.

For formats whose library is in C and may crash on a damaged file. Rows arrive in batches; one child reads many files.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from openrealm.corpus.box import Box
from openrealm.corpus.sources.rows import NoText, Value
from openrealm.errors import BadInput
from openrealm.types import Limits

_BASE_MEMORY_MB = 512  # address space of the child before it reads anything, and room for a batch


class RowBox(Box):
    """A child process that reads files of rows, one at a time; `close` ends it.

    >>> box = RowBox(Limits(max_file_seconds=30))
    >>> box.close()
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            "openrealm.corpus.sources.boxed_rows_worker",
            limits.max_file_seconds,
            (limits.max_row_group_mb + _BASE_MEMORY_MB) << 20,
        )
        self._bounds = dataclasses.asdict(limits)
        self._num_opened = 0
        self._why = {
            "time": f"takes more than {limits.max_file_seconds:g} s to read some of its rows; remove it, write it "
            "again with another program, or raise corpus.max_file_seconds",
            "memory": f"takes more than {limits.max_row_group_mb:,} MB of memory to read; remove it, write it again "
            "with smaller row groups, or raise corpus.max_row_group_mb",
            "crash": "crashes the library that reads it; remove it, or write it again with another program",
        }

    def rows(self, path: Path) -> Iterator[tuple[int, Value]]:
        """A file's rows, as `RowFormat.rows` of its format yields them; the file opened last is the one that is read.

        Raises what that raises, and BadInput for a file over the limits or one that crashes the library.
        """
        self._num_opened += 1
        opened = self._num_opened
        found = self.ask(json.dumps({"path": str(path), "limits": self._bounds}).encode())
        while "poison" not in found:
            for number, value in found["rows"]:
                yield number, BadInput(value) if isinstance(value, str) else value
            if "unreadable" in found:
                raise (NoText if found["has_no_text"] else BadInput)(found["unreadable"])
            if found["is_last"]:
                return
            assert opened == self._num_opened, "another file was opened meanwhile"
            found = self.ask(b"{}")
        raise BadInput(f"{path} {self._why[found['poison']]}.")
