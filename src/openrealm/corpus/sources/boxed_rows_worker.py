"""The process that reads files of rows: started by `boxed_rows.py`, limited in time and memory, and expendable.

A message is {"path", "limits"} to open a file, or {} for more of it; the answer is the next batch of rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from openrealm.corpus.box_worker import serve
from openrealm.corpus.sources.row_formats import row_format_of
from openrealm.corpus.sources.rows import NoText, Value
from openrealm.errors import BadInput
from openrealm.types import Limits

_BATCH_ROWS = 1024
_BATCH_CHARACTERS = 1 << 20


def answer(message: bytes) -> dict[str, Any]:
    """{"rows", "is_last"} with (number, value) of each row of a batch; a value that is a string says why there is none.

    "unreadable" has the message of the BadInput that ends the file, and "has_no_text" whether it was NoText.
    """
    global _rows
    if order := json.loads(message):
        path = Path(order["path"])
        form = row_format_of(path.name)
        assert form is not None
        _rows = form.rows(path, Limits(**order["limits"]))
    batch: list[tuple[int, Any]] = []
    num_characters = 0
    try:
        for number, value in _rows:
            batch.append((number, _sent(value)))
            num_characters += _length(value)
            if len(batch) == _BATCH_ROWS or num_characters >= _BATCH_CHARACTERS:
                return {"rows": batch, "is_last": False}
    except BadInput as error:
        return {"rows": batch, "unreadable": str(error), "has_no_text": isinstance(error, NoText)}
    return {"rows": batch, "is_last": True}


_rows: Iterator[tuple[int, Value]] = iter(())


def _sent(value: Value) -> Any:
    """A row as JSON: dates as texts, which `rows` reads."""
    if isinstance(value, BadInput):
        return str(value)
    if value is None:
        return None
    return {key: held.isoformat() if isinstance(held, date) else held for key, held in value.items()}


def _length(value: Value) -> int:
    if not isinstance(value, dict):
        return 0
    return sum(len(held) for held in value.values() if isinstance(held, str))


if __name__ == "__main__":
    import pyarrow.parquet  # noqa: F401  # imported before any file's time is measured

    serve(answer)
