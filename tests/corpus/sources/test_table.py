from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.clean import clean_text, clean_title
from openrealm.corpus.sources import open_source
from openrealm.errors import BadInput

TEXT = "The mill at Polle was built in 1902."
JAPANESE = "ポレの水車小屋は千九百二年に建てられ今も残っている。"


def read(path: Path, *, skip_unreadable: bool = False) -> tuple[list[tuple[str, str, str]], dict[str, Any]]:
    source = open_source(path, skip_unreadable=skip_unreadable)
    return [(article.id, article.title, article.text) for article in source.articles()], source.description


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.tsv", f"id\ttext\ttitle\n1\t{TEXT}\tPolle\n", [("1", "Polle", TEXT)]),
        ("a.tsv", f"id\ttext\ttitle\r\n1\t{TEXT}\tPolle\r\n", [("1", "Polle", TEXT)]),
        ("a.tsv", f"\ufeffid\ttext\ttitle\n1\t{TEXT}\tPolle", [("1", "Polle", TEXT)]),
        ("a.tsv", 'id\ttext\n1\t"The ""old"" mill,\tits weir"\n', [("1", "", 'The "old" mill, its weir')]),
        ("a.tsv", 'id\ttext\n1\t"One.\n\nTwo."\n2\tThree.\n', [("1", "", "One.\nTwo."), ("2", "", "Three.")]),
        ("a.tsv", f"0\t{TEXT}\n1\tThe ferry.\n", [("0", "", TEXT), ("1", "", "The ferry.")]),
        ("a.tsv", f"0\t{TEXT}\tPolle\n", [("0", "Polle", TEXT)]),
        ("a.tsv", f'0\t"Never!" he said.\n1\t"{TEXT}\n', [("0", "", '"Never!" he said.'), ("1", "", f'"{TEXT}')]),
        ("a.tsv", f"0\t{JAPANESE}\n", [("0", "", JAPANESE)]),
        ("a.tsv", f"D1\thttp://example.org\tPolle\t{TEXT}\n", [("D1", "Polle", TEXT)]),
        ("a.csv", f"title,text\nPolle,{TEXT}\n", [("2", "Polle", TEXT)]),
        ("a.csv", 'Text;ID\n"One; two.";7\n', [("7", "", "One; two.")]),
    ],
    ids=[
        "dpr", "windows", "byte-order-mark", "quotes", "quoted-lines", "colbert", "colbert-title", "bare-quotes",
        "japanese", "ms-marco", "csv", "semicolons",
    ],
)  # fmt: skip
def test_tables_are_read_as_toolkits_write_them(
    tmp_path: Path, name: str, content: str, expected: list[tuple[str, str, str]]
) -> None:
    (tmp_path / name).write_bytes(content.encode())
    articles, description = read(tmp_path / name)
    assert articles == expected
    assert description["num_rows"] == len(expected)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content.encode()))
    assert read(tmp_path / f"{name}.gz")[0] == expected


def test_bad_rows_are_named_by_line_and_every_row_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b"id\ttext\n1\tOne.\n\n2\n3\tcaf\xe9\n4\t\n5\tTwo.\tmore\n1\tThree.\n")
    with pytest.raises(BadInput, match=r"^3 files or rows could not be read") as caught:
        read(path)
    for message in ("a.tsv:4 has 1 column; expected 2 (id, text)", "a.tsv:5 is not UTF-8", "a.tsv:7 has 3 columns"):
        assert message in str(caught.value)
    articles, description = read(path, skip_unreadable=True)
    assert articles == [("1", "", "One."), ("1@8", "", "Three.")]
    assert description["num_rows"] == 7
    assert description["skipped"] == {"blank line": 1, "unreadable row": 3, "row without text": 1}


def test_a_quote_that_is_never_closed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    padding = "".join(f"{n},Text number {n}.\n" for n in range(60_000))
    path.write_text(f'id,text\n{padding}x,"never closed\ny,z\n')
    with pytest.raises(
        BadInput, match=r"a\.csv:60002 is no row of a table \(unexpected end of data\); check its quotes"
    ):
        read(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\n"),
        ("a.tsv", "who built the mill at Polle\t['Hannover', 'the town of Polle']\n"),
        ("a.csv", "year,price\n1999,3\n"),
        ("a.csv", ""),
    ],
    ids=["judgements", "questions", "numbers", "empty"],
)
def test_a_table_without_texts_is_refused(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BadInput, match=r'has no column "text" in its first line .*; expected the line "id text title"'):
        read(tmp_path / name)


cells = st.text(alphabet=st.sampled_from("ab \"',\n\r;é\u200b|\\"), max_size=12)


@given(
    rows=st.lists(
        st.tuples(st.text(alphabet="ab1", min_size=1, max_size=4), cells, cells),
        max_size=8,
        unique_by=lambda row: row[0],
    )
)
@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_what_csv_writes_is_read_back(
    delimiter: str, rows: list[tuple[str, str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("table") / ("a.tsv" if delimiter == "\t" else "a.csv")
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter)
    writer.writerows([("id", "text", "title"), *rows])
    path.write_bytes(written.getvalue().encode())
    articles, description = read(path)
    assert articles == [(i, clean_title(title), clean_text(text)) for i, text, title in rows if clean_text(text)]
    assert len(articles) + sum(description["skipped"].values()) == description["num_rows"] == len(rows)


@given(data=st.binary(max_size=200), header=st.sampled_from([b"", b"id\ttext\n", b"text\n", b"id\ttext\ttitle\r\n"]))
def test_any_bytes_are_rows_counted_or_refused(
    data: bytes, header: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.tsv"
    path.write_bytes(header + data)
    try:
        articles, description = read(path, skip_unreadable=True)
    except BadInput:
        return
    skipped = {why: number for why, number in description["skipped"].items() if why != "unreadable file"}
    assert len(articles) + sum(skipped.values()) == description["num_rows"]
