"""A Parquet file as a source: the columns id, title and text, read in batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from openrealm.corpus.sources import RowSource
from openrealm.corpus.sources.rows import (
    DATE_KEYS,
    ID_KEYS,
    TEXT_KEYS,
    TITLE_KEYS,
    NoText,
    RowFormat,
    Value,
    row_articles,
)
from openrealm.errors import BadInput
from openrealm.types import DEFAULT_LIMITS, Article, Limits

_BATCH_ROWS = 1024
_PAGE_ROWS = 1024  # most rows that writers put into a page, however long they are
_BATCH_BYTES = 4 << 20
_FEW_ROWS = 16
_REPEATED_BYTES = 64 << 20
_BUFFER_BYTES = 1 << 20


def _rows(path: Path, limits: Limits) -> Iterator[tuple[int, Value]]:
    number = 0
    with _telling(path), path.open("rb") as handle:
        schema = pq.read_schema(handle)
        columns = _columns(path, schema)
        file = pq.ParquetFile(handle, page_checksum_verification=True, pre_buffer=False, buffer_size=_BUFFER_BYTES)
        for group in range(file.num_row_groups):
            _check_memory(path, group, file.metadata.row_group(group), columns, limits)
            size = _batch_rows(file.metadata.row_group(group))
            for batch in file.iter_batches(size, row_groups=[group], columns=columns, use_threads=False):
                for value in _values(batch, path, number):
                    number += 1
                    yield number, value


FORMAT = RowFormat("row", _rows, is_boxed=True)


class Parquet(RowSource):
    """A .parquet file."""

    kind = "parquet"
    form = FORMAT


def read(path: Path, limits: Limits = DEFAULT_LIMITS) -> Iterator[Article]:
    """Articles of a Parquet file in its order. See `rows.Rows`."""
    return row_articles(path, FORMAT, limits=limits)


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except MemoryError:  # Arrow's own is an ArrowException too
        raise
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"{path} could not be read as Parquet ({reason}); download or write the file again.") from error


def _columns(path: Path, schema: pa.Schema) -> list[str]:
    """The columns to read, if they have types that can be."""
    if not any(key in schema.names for key in TEXT_KEYS):
        found = ", ".join(schema.names) or "none"
        raise NoText(f'{path} has no column "text" (its columns: {found}); expected id, title and text.')
    columns = [key for key in (*ID_KEYS, *TITLE_KEYS, *TEXT_KEYS, *DATE_KEYS) if key in schema.names]
    for name in columns:
        if schema.names.count(name) > 1:
            raise BadInput(f'{path} has {schema.names.count(name)} columns "{name}"; rename all but one.')
        kind = schema.field(name).type
        held = kind.value_type if pa.types.is_dictionary(kind) else kind
        is_text = pa.types.is_string(held) or pa.types.is_large_string(held) or pa.types.is_string_view(held)
        is_id = name in ID_KEYS and pa.types.is_integer(held)
        is_date = name in DATE_KEYS and (pa.types.is_date(held) or pa.types.is_timestamp(held))
        if not (is_text or is_id or is_date or pa.types.is_null(held)):
            wanted = "strings or integers" if name in ID_KEYS else "dates" if name in DATE_KEYS else "strings"
            raise BadInput(f'{path}: the column "{name}" has the type {kind}; expected {wanted}.')
    return columns


def _check_memory(path: Path, number: int, group: Any, columns: list[str], limits: Limits) -> None:
    """Raise BadInput if the rows that Arrow decodes at once, those of a page, need too much memory.

    Such a page is in memory twice: with the texts themselves, and with a dictionary of them.
    """
    chunks = (group.column(i) for i in range(group.num_columns))
    num_bytes = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema in columns)
    num_rows = max(int(group.num_rows), 1)
    needed = 2 * num_bytes * min(num_rows, _PAGE_ROWS) // num_rows
    if needed > limits.max_row_group_mb << 20:
        fitting = max(1, int(0.9 * (limits.max_row_group_mb << 20) * num_rows / (2 * num_bytes)))
        raise BadInput(
            f"{path}: decoding row group {number + 1} needs about {needed >> 20:,} MB, more than "
            f"{limits.max_row_group_mb:,}; write the file again with row groups of at most {fitting:,} rows "
            "(pyarrow.parquet.write_table(..., row_group_size=...)), or raise corpus.max_row_group_mb."
        )


def _batch_rows(group: Any) -> int:
    """Rows that have about _BATCH_BYTES in the file; fewer if one long value may be repeated in all of them."""
    num_bytes, num_rows = max(int(group.total_byte_size), 1), int(group.num_rows)
    if num_bytes > _REPEATED_BYTES:
        return max(1, min(_FEW_ROWS, _BATCH_BYTES * num_rows // num_bytes))
    return max(_FEW_ROWS, min(_BATCH_ROWS, _REPEATED_BYTES // num_bytes))


def _values(batch: pa.RecordBatch, path: Path, number: int) -> Iterator[Value]:
    """The rows after row `number`."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        yield from (_value(batch, i, f"{path}, row {number + i + 1}") for i in range(len(batch)))


def _value(batch: pa.RecordBatch, i: int, where: str) -> Value:
    try:
        return {name: column[i].as_py() for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    except UnicodeDecodeError as error:
        return BadInput(f"{where} is not UTF-8 (byte {error.start} of a string); write the file again.")
