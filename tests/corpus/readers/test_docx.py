from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from openrealm.corpus.sources import open_source
from openrealm.errors import BadInput, NotInstalled

Files = dict[str, str | bytes]


def test_title_headings_paragraphs_and_tables_are_read(
    tmp_path: Path, make_archive: Callable[..., Path], word: Files
) -> None:
    pytest.importorskip("mammoth", reason='needs mammoth: pip install "openrealm[office]"')
    make_archive(tmp_path / "a.docx", word)
    [article] = open_source(tmp_path).articles()
    assert article.title == "The Weser"
    assert article.text.split("\n") == ["The Weser", "Polle", "The mill was built in 1902.", "Ferry, 1887"]
    assert [line.is_heading for line in article.lines] == [True, True, False, False]
    assert [line.part for line in article.lines] == [1, 2, 3, 4]


def test_a_damaged_document_is_refused(tmp_path: Path, make_archive: Callable[..., Path], word: Files) -> None:
    pytest.importorskip("mammoth", reason='needs mammoth: pip install "openrealm[office]"')
    make_archive(tmp_path / "a.docx", word | {"word/document.xml": "<w:document"})
    with pytest.raises(BadInput, match=r"a\.docx could not be read as a Word document"):
        list(open_source(tmp_path / "a.docx").articles())


def test_without_the_extra_documents_are_left_out_and_counted(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = tmp_path_factory.mktemp("modules")
    (hidden / "mammoth.py").write_text("raise ModuleNotFoundError")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(hidden), os.environ.get("PYTHONPATH", "")]))
    (tmp_path / "a.txt").write_text("Lima.")
    (tmp_path / "b.docx").write_text("x")
    (tmp_path / "c.docx").write_text("x")
    source = open_source(tmp_path)
    assert [article.id for article in source.articles()] == ["a.txt"]
    assert source.description["skipped"] == {'.docx file (pip install "openrealm[office]" to read it)': 2}
    with pytest.raises(NotInstalled, match=r'pip install "openrealm\[office\]"'):
        list(open_source(tmp_path / "b.docx").articles())
