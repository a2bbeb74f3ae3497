from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openrealm.corpus.sources import open_source
from openrealm.errors import BadInput


def test_each_kind_of_path_finds_its_reader(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("Lima.")
    (tmp_path / "wiki.jsonl").write_text('{"title": "Peru", "text": "Lima."}\n')
    pq.write_table(pa.table({"text": ["Lima."]}), tmp_path / "wiki.parquet")
    found = {}
    for name in ("notes", "notes/a.txt", "wiki.jsonl", "wiki.parquet"):
        articles, description = open_source(str(tmp_path / name))
        assert [article.text for article in articles()] == ["Lima."]
        assert [article.text for article in articles()] == ["Lima."], "a source can be read again"
        found[name] = description["kind"], description["name"]
    assert found == {
        "notes": ("folder", "notes"),
        "notes/a.txt": ("file", "a.txt"),
        "wiki.jsonl": ("jsonl", "wiki.jsonl"),
        "wiki.parquet": ("parquet", "wiki.parquet"),
    }


def test_what_was_left_out_of_a_folder_is_counted_anew_each_time(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Lima.")
    (tmp_path / "b.docx").write_text("x")
    articles, description = open_source(str(tmp_path))
    for _ in range(2):
        list(articles())
        assert description["skipped"] == {"ending .docx": 1}


def test_the_factbook_is_known_by_name() -> None:
    _, description = open_source("factbook", prose_only=True)
    assert description == {"kind": "factbook", "prose_only": True}


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere does not exist; give a folder"):
        open_source(str(tmp_path / "nowhere"))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_text("x")
    articles, _ = open_source(str(tmp_path / "a.docx"))
    with pytest.raises(
        BadInput, match=r"ends in \.docx; give a \.txt, \.md, \.html or \.pdf, \.jsonl or \.parquet file"
    ):
        list(articles())
