"""A Parquet file as a source: the columns id, title and text, read in batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from openrealm.corpus.clean import check_line_lengths, clean_text, clean_title
from openrealm.corpus.sources import FileSource
from openrealm.errors import BadInput
from openrealm.types import Article

_ROWS_PER_BATCH = 1024


class Parquet(FileSource):
    """A .parquet file."""

    kind = "parquet"

    @classmethod
    def reads(cls, path: Path) -> bool:
        """Whether the name ends in .parquet."""
        return path.is_file() and path.name.lower().endswith(".parquet")

    def articles(self) -> Iterator[Article]:
        """See `read`."""
        return read(self.path)


def read(path: Path) -> Iterator[Article]:
    """Articles in the file's order; the id defaults to the row number from 1, the title to an empty string.

    Rows with blank text give no article. Raises BadInput if the file is not Parquet or damaged, has no column "text",
    or a row's text is null.
    """
    for number, row in enumerate(_rows(path), start=1):
        article = _article(row, number, f"{path}, row {number}")
        if article.text:
            yield article


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            columns = _columns(path, file.schema_arrow)
            for batch in file.iter_batches(batch_size=_ROWS_PER_BATCH, columns=columns, use_threads=False):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"{path} could not be read as Parquet ({reason}); download or write the file again.") from error


def _columns(path: Path, schema: pa.Schema) -> list[str]:
    if "text" not in schema.names:
        found = ", ".join(schema.names) or "none"
        raise BadInput(f'{path} has no column "text" (its columns: {found}); expected id, title and text.')
    return [name for name in ("id", "title", "text") if name in schema.names]


def _article(row: dict[str, Any], number: int, where: str) -> Article:
    text, title, row_id = row["text"], row.get("title"), row.get("id")
    if not isinstance(text, str):
        raise BadInput(f'{where}: "text" is a {type(text).__name__}; expected a string.')
    if not isinstance(title, str | None):
        raise BadInput(f'{where}: "title" is a {type(title).__name__}; expected a string.')
    if isinstance(row_id, bool) or not isinstance(row_id, str | int | None):
        raise BadInput(f'{where}: "id" is a {type(row_id).__name__}; expected a string or an integer.')
    text = clean_text(text)
    check_line_lengths(text, where)
    return Article(str(number if row_id is None else row_id), clean_title(title or ""), text)
