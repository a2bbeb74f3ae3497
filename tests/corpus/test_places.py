from __future__ import annotations

from pathlib import Path

import pytest

from openrealm.corpus.corpus import Corpus
from openrealm.corpus.places import place_of


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


def test_rows_are_told_by_the_line_of_their_file(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "Lima lies in Peru."}\n{"text": "Quito lies in Ecuador."}\n')
    corpus = Corpus.build(tmp_path / "rows.jsonl", tmp_path / "corpus")
    assert [place_of(corpus, i) for i in range(len(corpus))] == ["rows.jsonl, line 1", "rows.jsonl, line 2"]
