from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus import builder
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.places import place_of
from openrealm.corpus.row_files import RowFile, overlapping, row_file_of
from openrealm.types import Article, Limits


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    wrapped = (
        "The inn at Grohnde was closed in 1988 by Eva\nRoth, who had no heirs, and was sold to the town\nof Hameln."
    )
    (folder / "inn.txt").write_text(f"Inns\n\n{wrapped}\n", encoding="utf-8")
    return folder


def test_the_line_of_a_word_in_a_wrapped_paragraph_is_told(source: Path, tmp_path: Path) -> None:
    corpus = Corpus.build(source, tmp_path / "corpus")
    text = corpus[0].text
    for word, line in (("Inns", 1), ("Grohnde", 3), ("heirs", 4), ("Hameln", 5)):
        assert place_of(corpus, 0, text.index(word), source) == f"inn.txt, line {line}"


def test_without_the_file_as_it_was_characters_are_counted(source: Path, tmp_path: Path) -> None:
    corpus = Corpus.build(source, tmp_path / "corpus")
    assert place_of(corpus, 0, corpus[0].text.index("Grohnde")) == "inn.txt, character 7"
    (source / "inn.txt").write_text("something else")
    assert place_of(corpus, 0, 0, source) == "inn.txt, character 1"
    (source / "inn.txt").unlink()
    assert place_of(corpus, 0, 0, source) == "inn.txt, character 1"


def test_the_line_of_a_file_beyond_the_default_limits_is_told(source: Path, tmp_path: Path) -> None:
    (source / "inn.txt").write_text(f"Inns\n\n{'The inn. ' * 120_000}\n\nIt was closed by Roth.\n")
    corpus = Corpus.build(source, tmp_path / "corpus", limits=Limits(max_line_characters=2_000_000))
    last = len(corpus) - 1
    assert place_of(corpus, last, corpus[last].text.index("Roth"), source) == "inn.txt, line 5"


ROWS = [("r1", "Lima lies in Peru."), ("r2", "Quito lies in Ecuador.")]


def write_rows(folder: Path, name: str, rows: Sequence[tuple[str, str]] = ROWS) -> None:
    """A file of rows in the format of its name; a row without an id has ""."""
    folder.mkdir(exist_ok=True)
    values = [({"id": i} if i else {}) | {"text": text} for i, text in rows]
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(values), folder / name)
    elif name.endswith(".json"):
        (folder / name).write_text(json.dumps(values))
    elif name.endswith(".jsonl"):
        (folder / name).write_text("".join(json.dumps(value) + "\n" for value in values))
    else:
        comma = "," if name.endswith(".csv") else "\t"
        (folder / name).write_text("".join(f"{comma.join(row)}\n" for row in [("id", "text"), *rows]))


# How the rows of each kind of file are counted: a table's first line is its header.
COUNTED = {
    "a.jsonl": ("line 1", "line 2"),
    "b.json": ("item 1", "item 2"),
    "c.tsv": ("line 2", "line 3"),
    "d.csv": ("line 2", "line 3"),
    "e.parquet": ("row 1", "row 2"),
}


@pytest.mark.parametrize("name", COUNTED)
def test_rows_of_a_file_are_told_by_file_place_and_id(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path, name)
    corpus = Corpus.build(tmp_path / name, tmp_path / "corpus")
    assert [place_of(corpus, i) for i in range(len(corpus))] == [
        f"{name}, {place}, id {row_id}" for place, row_id in zip(COUNTED[name], ("r1", "r2"), strict=True)
    ]


@pytest.mark.parametrize("beside", [[], ["b.txt"]], ids=["rows alone", "beside a document"])
def test_rows_in_a_folder_are_told_by_file_place_and_id(tmp_path: Path, beside: list[str]) -> None:
    folder = tmp_path / "docs"
    for name in COUNTED:
        write_rows(folder, name, [(f"{name}-{i}", f"{text} {name}") for i, text in ROWS])
    for name in beside:
        (folder / name).write_text("Santiago lies in Chile.\n")
    corpus = Corpus.build(folder, tmp_path / "corpus")
    expected = [
        f"{n}, {place}, id {n}-{i}" for n, c in COUNTED.items() for place, i in zip(c, ("r1", "r2"), strict=True)
    ]
    expected += [f"{name}, line 1" for name in beside]
    assert sorted(place_of(corpus, i, 0, folder) for i in range(len(corpus))) == sorted(expected)


def test_a_row_without_an_id_of_its_own_is_told_by_its_line(tmp_path: Path) -> None:
    write_rows(tmp_path / "docs", "rows.jsonl", [("", text) for _, text in ROWS])
    for source in (tmp_path / "docs", tmp_path / "docs" / "rows.jsonl"):
        corpus = Corpus.build(source, tmp_path / f"corpus-{source.name}")
        assert [place_of(corpus, i) for i in range(len(corpus))] == ["rows.jsonl, line 1", "rows.jsonl, line 2"]


def test_a_row_whose_id_looks_like_a_document_is_a_row(tmp_path: Path) -> None:
    write_rows(tmp_path / "docs", "rows.jsonl", [("report.pdf", "Lima lies in Peru."), ("guide.md", "Quito.")])
    corpus = Corpus.build(tmp_path / "docs", tmp_path / "corpus")
    places = [place_of(corpus, i, 0, tmp_path / "docs") for i in range(len(corpus))]
    assert places == ["rows.jsonl, line 1, id report.pdf", "rows.jsonl, line 2, id guide.md"]


@given(st.lists(st.integers(0, 4), max_size=8), st.integers(1, 5))
def test_every_article_of_every_shard_is_found_in_its_file(sizes: list[int], shard: int) -> None:
    """Sizes of files of rows, each followed by a document, against the list of their owners."""
    row_files: list[RowFile] = []
    owners: list[int | None] = []
    for number, size in enumerate(sizes):
        row_files.append(RowFile(name=str(number), unit="line", first=len(owners), num_articles=size))
        owners += [*[number] * size, None]
    for first in range(0, len(owners), shard):
        part = owners[first : first + shard]
        own = overlapping(row_files, first, len(part))
        assert {file["name"] for file in own} == {str(owner) for owner in part if owner is not None}
        for article, owner in enumerate(part):
            for found in (row_file_of(own, article), row_file_of(row_files, first + article)):
                assert (found and found["name"]) == (None if owner is None else str(owner))


def test_the_table_for_other_programs_tells_the_same_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "_SHARD_ARTICLES", 3)
    folder = tmp_path / "docs"
    for name in COUNTED:
        write_rows(folder, name, [(f"{name}-{i}", f"{text} {name}") for i, text in ROWS])
    (folder / "b.txt").write_text("Chile\n\nSantiago lies in Chile.\n")
    corpus = Corpus.build(folder, tmp_path / "corpus")
    tables = [pq.read_table(path) for path in sorted(corpus.folder.glob("passages-*.parquet"))]
    assert len(tables) == 4
    places = pa.concat_tables(tables)["place"].to_pylist()
    assert places == [place_of(corpus, i) for i in range(len(corpus))]
    assert "b.txt, character 1" in places
    assert Corpus.build([Article("1", "Peru", "Lima.")], tmp_path / "memory").row_files == []
    [table] = (tmp_path / "memory").glob("passages-*.parquet")
    assert pq.read_table(table)["place"].to_pylist() == [""]
