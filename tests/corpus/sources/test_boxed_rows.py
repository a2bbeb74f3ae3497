"""Parquet files are read in a child process, which a file may kill without harm to the run."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openrealm.corpus.sources import open_source, parquet
from openrealm.corpus.sources.boxed_rows import RowBox
from openrealm.errors import BadInput
from openrealm.types import DEFAULT_LIMITS, Limits


@pytest.fixture
def box() -> Iterator[RowBox]:
    made = RowBox(DEFAULT_LIMITS)
    yield made
    made.close()


def written(path: Path, num_rows: int = 3, **options: object) -> Path:
    rows = {"id": list(range(num_rows)), "text": [f"Text {n} \U0001f3e0." for n in range(num_rows)]}
    with path.open("wb") as file:
        pq.write_table(pa.table(rows), file, **options)
    return path


def test_rows_are_the_same_as_in_this_process(tmp_path: Path, box: RowBox) -> None:
    path = written(tmp_path / "caf\udce9.parquet", 5000, row_group_size=700)
    assert list(box.rows(path)) == list(parquet.FORMAT.rows(path, DEFAULT_LIMITS))
    empty = written(tmp_path / "empty.parquet", 0)
    assert list(box.rows(empty)) == []


def test_rows_arrive_before_the_last_is_read(tmp_path: Path, box: RowBox) -> None:
    path = written(tmp_path / "a.parquet", 10_000, row_group_size=1000, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[-4000] ^= 0xFF
    path.write_bytes(data)
    rows = box.rows(path)
    first = [number for number, _ in islice(rows, 3)]
    with pytest.raises(BadInput, match=r"a\.parquet could not be read as Parquet"):
        list(rows)
    assert first == [1, 2, 3]


def test_errors_are_the_same_as_in_this_process(tmp_path: Path, box: RowBox) -> None:
    pq.write_table(pa.table({"words": ["a"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": pa.array([b"One", b"caf\xe9"]).view(pa.string())}), tmp_path / "b.parquet")
    with pytest.raises(BadInput) as here:
        list(parquet.FORMAT.rows(tmp_path / "a.parquet", DEFAULT_LIMITS))
    with pytest.raises(type(here.value)) as there:
        list(box.rows(tmp_path / "a.parquet"))
    assert str(there.value) == str(here.value)
    (_, one), (_, two) = box.rows(tmp_path / "b.parquet")
    assert one == {"text": "One"}
    assert isinstance(two, BadInput)
    assert "b.parquet, row 2 is not UTF-8" in str(two)


def test_a_file_that_crashes_arrow_is_unreadable_and_the_others_are_read(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        written(tmp_path / f"{name}.parquet", 60_000, row_group_size=3000)
    source = open_source(tmp_path, skip_unreadable=True)
    articles = source.articles()
    num_read = 0
    for number, _ in enumerate(articles):
        if number == 70_000:
            (child,) = children()
            os.kill(child, signal.SIGSEGV)
        num_read += 1
    (message,) = source.description["examples"]["unreadable file"]
    assert message.startswith(f"{tmp_path / 'b.parquet'} crashes the library that reads it; remove it, or write it")
    assert 130_000 <= num_read < 180_000
    assert children() == []


def test_a_crash_ends_a_build_of_one_file_in_a_sentence(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", 200_000, row_group_size=3000)
    articles = parquet.read(path)
    next(articles)
    os.kill(*children(), signal.SIGABRT)
    with pytest.raises(BadInput, match=r"a\.parquet takes more than 1,024 MB of memory to read; .*max_row_group_mb"):
        list(articles)
    assert children() == []


def test_a_file_that_takes_too_long_names_the_setting(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"{n} " * 100_000 for n in range(40)]}), path, use_dictionary=False)
    with pytest.raises(BadInput, match=r"a\.parquet takes more than 0\.001 s .*, or raise corpus\.max_file_seconds"):
        list(parquet.read(path, Limits(max_file_seconds=0.001)))
    assert len(list(parquet.read(path))) == 40


def test_one_child_reads_all_files_and_ends_with_the_source(tmp_path: Path) -> None:
    for number in range(3):
        written(tmp_path / f"{number}.parquet")
    seen = [tuple(children()) for _ in open_source(tmp_path).articles()]
    assert len(seen) == 9
    assert len(set(seen)) == len(seen[0]) == 1
    assert children() == []


def test_a_source_that_nobody_reads_to_its_end_leaves_no_child(tmp_path: Path) -> None:
    articles = parquet.read(written(tmp_path / "a.parquet"))
    next(articles)
    assert len(children()) == 1
    del articles
    assert children() == []


@pytest.mark.parametrize("seed", [0, pytest.param(range(1, 40), marks=pytest.mark.slow)])
def test_no_damaged_byte_gets_out_of_the_child(tmp_path: Path, seed: int | range) -> None:
    path = written(tmp_path / "a.parquet", 50, row_group_size=20)
    data = path.read_bytes()
    box = RowBox(Limits(max_file_seconds=20))
    for one in [seed] if isinstance(seed, int) else seed:
        rng = random.Random(one)
        for _ in range(40):
            damaged = bytearray(data)
            for _ in range(rng.choice((1, 1, 4))):
                damaged[rng.randrange(len(data))] = rng.randrange(256)
            path.write_bytes(damaged)
            with contextlib.suppress(BadInput):
                assert all(value is None or isinstance(value, dict | BadInput) for _, value in box.rows(path))
    box.close()


def children() -> list[int]:
    """Processes of this one that read rows."""
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes()
            parent = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if b"boxed_rows_worker" in command and int(parent) == os.getpid():
            found.append(int(process))
    return found
