"""The passages of a corpus as one Parquet file, with a vector for each: see `Corpus.to_parquet`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from openrealm import files
from openrealm.corpus.corpus import Corpus
from openrealm.errors import DamagedArtefact, ShapeMismatch
from openrealm.progress import track

_EMBEDDING = "embedding"


def export(corpus: Corpus, path: Path, vectors: Any = None) -> None:
    """Write `path`; see `Corpus.to_parquet`. One row group after another is read, extended and written."""
    dim = None if vectors is None else _dim(vectors, len(corpus))
    tables = sorted(corpus.folder.glob("passages-*.parquet"))
    number = 0
    with files.replacing(path) as handle, track("export", len(corpus)) as advance:
        writer = None
        for table in tables:
            with pq.ParquetFile(table, page_checksum_verification=True, pre_buffer=False) as rows:
                for group in range(rows.num_row_groups):
                    part = rows.read_row_group(group)
                    if dim is not None:
                        part = part.append_column(_EMBEDDING, _embeddings(vectors, number, len(part), dim))
                    writer = writer or _writer(handle, part.schema)
                    writer.write_table(part)
                    number += len(part)
                    advance(len(part))
        if number != len(corpus) or writer is None:
            found = f"{number:,} rows instead of {len(corpus):,}"
            raise DamagedArtefact(f"{corpus.folder}/passages-*.parquet have {found}; rebuild the corpus.")
        writer.close()


def _writer(handle: Any, schema: pa.Schema) -> pq.ParquetWriter:
    # A dictionary of vectors would be as long as they are.
    repeated = ["title", "article_id"]
    return pq.ParquetWriter(handle, schema, compression="zstd", use_dictionary=repeated, write_page_checksum=True)


def _dim(vectors: Any, num_passages: int) -> int:
    shape = tuple(vectors.shape)
    if len(shape) != 2 or shape[0] != num_passages:
        raise ShapeMismatch(f"vectors has shape {shape}; expected one row per passage, shape ({num_passages}, D).")
    return int(shape[1])


def _embeddings(vectors: Any, first: int, num_rows: int, dim: int) -> pa.Array:
    rows_BD = np.ascontiguousarray(vectors[first : first + num_rows], np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(rows_BD.reshape(-1)), dim)
