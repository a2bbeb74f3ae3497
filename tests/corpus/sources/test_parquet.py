from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openrealm.corpus.sources import parquet
from openrealm.errors import BadInput
from openrealm.types import DEFAULT_LIMITS, Article, Limits, Line


def written(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path / "a.parquet", row_group_size=1000, write_page_checksum=True)
    return path / "a.parquet"


def test_rows_become_articles_in_order_over_many_batches(tmp_path: Path) -> None:
    numbers = range(2500)
    path = written(
        tmp_path,
        text=[f"Text {i}." for i in numbers],
        url=["x"] * 2500,
        id=list(numbers),
        title=[f"T{i}" for i in numbers],
    )
    assert list(parquet.read(path)) == [
        Article(str(i), f"T{i}", f"Text {i}.", lines=(Line(0, 0, part=i + 1),)) for i in numbers
    ]


def test_text_alone_is_enough_and_is_cleaned(tmp_path: Path) -> None:
    path = written(tmp_path, text=["a &amp;  b", " ", "c"])
    assert read(path)[0] == [("1", "", "a & b"), ("3", "", "c")]


def read(path: Path) -> tuple[list[tuple[str, str, str]], dict[str, Any]]:
    source = parquet.Parquet(path)
    return [(article.id, article.title, article.text) for article in source.articles()], source.description


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_strings_of_every_kind_are_read_and_rows_are_counted(tmp_path: Path, kind: pa.DataType) -> None:
    texts = pa.array(["One", None, " ", "Two"])
    path = written(tmp_path, _id=["a", "b", "c", "a"], title=pa.nulls(4), text=texts.cast(kind))
    articles, description = read(path)
    assert articles == [("a", "", "One"), ("a@4", "", "Two")]
    assert (description["num_rows"], description["skipped"]) == (4, {"row without text": 2})
    assert description["keys"] == {"id": "_id", "text": "text"}
    assert len(description["remarks"]) == 1


def test_a_string_that_is_not_unicode_is_named_with_its_row(tmp_path: Path) -> None:
    texts = pa.array([b"One", b"caf\xe9", b"Two"]).view(pa.string())
    with pytest.raises(BadInput, match=r"a\.parquet, row 2 is not UTF-8 \(byte 3 of a string\)"):
        list(parquet.read(written(tmp_path, text=texts)))


@pytest.mark.slow
@pytest.mark.parametrize("num_values", [3000, 40], ids=["one value repeated", "long rows"])
def test_a_batch_of_long_rows_is_small(tmp_path: Path, num_values: int) -> None:
    path = tmp_path / "a.parquet"
    texts = ["x. " * 300_000] * num_values if num_values == 3000 else [f"{i} " * 300_000 for i in range(num_values)]
    pq.write_table(pa.table({"text": pa.array(texts)}), path)
    before = pa.default_memory_pool().max_memory()
    num_rows = sum(1 for _ in parquet.FORMAT.rows(path, DEFAULT_LIMITS))
    assert num_rows == num_values
    assert pa.default_memory_pool().max_memory() - before < 400 << 20


def test_rows_that_need_too_much_memory_are_refused_with_how_to_write_them(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"{i} " * 100_000 for i in range(20)]}), path, use_dictionary=False)
    message = (
        r"a\.parquet: decoding row group 1 needs about \d MB, more than 2; write the file again with row groups of at "
        r"most (\d+) rows \(.*row_group_size=.*\), or raise corpus\.max_row_group_mb\."
    )
    with pytest.raises(BadInput, match=message) as refused:
        list(parquet.read(path, Limits(max_row_group_mb=2)))
    found = re.search(message, str(refused.value))
    assert found
    pq.write_table(pq.read_table(path), path, use_dictionary=False, row_group_size=int(found[1]))
    assert len(list(parquet.read(path, Limits(max_row_group_mb=2)))) == 20
    assert len(list(parquet.read(path))) == 20


PEAK = """
import sys
from pathlib import Path
from openrealm import memory
from openrealm.corpus.sources import parquet
from openrealm.types import DEFAULT_LIMITS
before = memory.held_bytes()
num_rows = sum(1 for _ in parquet.FORMAT.rows(Path(sys.argv[1]), DEFAULT_LIMITS))
print(memory.held_bytes() - before)
"""


def test_memory_is_that_of_one_row_group_and_not_of_the_file(tmp_path: Path) -> None:
    def peak_bytes(num_groups: int) -> int:
        path = tmp_path / f"{num_groups}.parquet"
        pq.write_table(pa.table({"text": [f"{i} " * 200_000 for i in range(20 * num_groups)]}), path, row_group_size=20)
        command = [sys.executable, "-c", PEAK, str(path)]
        path_of_modules = os.pathsep.join(entry for entry in sys.path if entry)
        environment = os.environ | {"PYTHONPATH": path_of_modules}
        return int(subprocess.run(command, capture_output=True, check=True, env=environment).stdout)

    group_bytes = 20 * 600_000
    assert peak_bytes(8) < max(2 * peak_bytes(1), 8 * group_bytes)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"words": ["a"], "id": ["1"]}, r'has no column "text" \(its columns: words, id\)'),
        ({"text": [1]}, r': the column "text" has the type int64; expected strings'),
        ({"text": [["a"]]}, r': the column "text" has the type list<.*>; expected strings'),
        ({"text": ["a"], "title": [2]}, r': the column "title" has the type int64; expected strings'),
        ({"text": ["a"], "id": [2.5]}, r': the column "id" has the type double; expected strings or integers'),
        ({"text": ["x" * 1_000_001]}, r"row 1: line 1 has 1,000,001 characters"),
    ],
)
def test_what_is_not_as_expected_is_named(tmp_path: Path, columns: dict[str, list[object]], message: str) -> None:
    path = written(tmp_path, **columns)
    with pytest.raises(BadInput, match=message) as caught:
        list(parquet.read(path))
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("data", [b"", b"PAR1 but not really", b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_not_parquet_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(data)
    with pytest.raises(BadInput, match=r"a\.parquet could not be read as Parquet .*; download or write the file again"):
        list(parquet.read(tmp_path / "a.parquet"))


def test_damage_inside_is_noticed(tmp_path: Path) -> None:
    path = written(tmp_path, text=[f"Text {i}." for i in range(2500)])
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(BadInput, match="could not be read as Parquet"):
        list(parquet.read(path))
