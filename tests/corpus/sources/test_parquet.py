from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openrealm.corpus.sources import parquet
from openrealm.errors import BadInput
from openrealm.types import Article


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
    assert list(parquet.read(path)) == [Article(str(i), f"T{i}", f"Text {i}.") for i in numbers]


def test_text_alone_is_enough_and_is_cleaned(tmp_path: Path) -> None:
    path = written(tmp_path, text=["a &amp;  b", " ", "c"])
    assert list(parquet.read(path)) == [Article("1", "", "a & b"), Article("3", "", "c")]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"body": ["a"], "id": ["1"]}, r'has no column "text" \(its columns: body, id\)'),
        ({"text": ["a", None]}, r'row 2: "text" is a NoneType; expected a string'),
        ({"text": [1]}, r'row 1: "text" is a int; expected a string'),
        ({"text": ["a"], "title": [2]}, r'row 1: "title" is a int; expected a string'),
        ({"text": ["a"], "id": [2.5]}, r'row 1: "id" is a float; expected a string or an integer'),
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
