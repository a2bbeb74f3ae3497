"""Damaged files of every kind that a folder may hold: articles, or one of our errors, and never anything else."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from openrealm.corpus.sources import open_source
from openrealm.errors import BadInput

ROWS = [{"id": f"d{n}", "title": f"T {n}", "text": f"Text number {n} \u00e9\ud83d\ude00. " * 5} for n in range(40)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
TABLE = "".join(f'{n}\t"Text ""number"" {n}. Another sentence."\tTitle\n' for n in range(40)).encode()


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": list(range(40)), "text": [f"Text {n}." for n in range(40)]}), sink)
    return sink.getvalue()


FILES: dict[str, bytes] = {
    "a.jsonl": LINES,
    "a.jsonl.gz": gzip.compress(LINES),
    "a.jsonl.xz": lzma.compress(LINES),
    "a.jsonl.bz2": bz2.compress(LINES),
    "a.jsonl.zst": zstandard.ZstdCompressor().compress(LINES),
    "a.json": json.dumps(ROWS, indent=1).encode(),
    "a.tsv": b"id\ttext\ttitle\n" + TABLE,
    "b.tsv": TABLE,
    "a.csv": b"id,text\n" + b'1,"One, two."\n2,Three.\n' * 20,
    "a.parquet": parquet(),
    "a.ipynb": json.dumps({"cells": [{"cell_type": "markdown", "source": "# Peru\n\nLima."}] * 9}).encode(),
}


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The data with one to four damages."""
    for _ in range(rng.randrange(1, 5)):
        at, length = rng.randrange(len(data) + 1), rng.randrange(1, 40)
        kind = rng.randrange(4)
        noise = rng.choice((rng.randbytes(length), b'"', b"\n", b"\0", b"[", b"\\ud800", b"\t", b"9" * 5000, b"NaN"))
        if kind == 0:
            data = data[:at] + noise + data[at:]
        elif kind == 1:
            data = data[:at] + data[at + length :]
        elif kind == 2:
            data = data[:at] + noise + data[at + len(noise) :]
        else:
            data = data[:at] + bytes(byte ^ 1 << rng.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]
    return data


@pytest.mark.parametrize("name", [*FILES, "a.epub", "a.docx"])
@pytest.mark.parametrize("seeds", [range(6), pytest.param(range(6, 600), marks=pytest.mark.slow)], ids=["few", "many"])
def test_a_damaged_file_gives_articles_or_one_of_our_errors(
    tmp_path: Path, name: str, seeds: range, make_office: Callable[[str], bytes]
) -> None:
    whole = FILES[name] if name in FILES else make_office(name)
    (tmp_path / "z.txt").write_text("Lima.")
    for seed in seeds:
        (tmp_path / name).write_bytes(damaged(whole, random.Random(f"{name} {seed}")))
        source = open_source(tmp_path, skip_unreadable=True)
        articles = list(source.articles())
        assert len({article.id for article in articles}) == len(articles)
        for article in articles:
            f"{article.id}{article.title}{article.text}".encode()
        counted = {why: n for why, n in source.description["skipped"].items() if "row" in why or "blank" in why}
        if num_rows := source.description.get("num_rows"):
            assert len(articles) - 1 + sum(counted.values()) == num_rows
        if any("unreadable" in why for why in source.description["skipped"]):
            with pytest.raises(BadInput, match=name):
                list(open_source(tmp_path).articles())
