"""The questions on real documentation (bench/questions): their form, and that what they cite stands in the files."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from openrealm.corpus.readers import reader_of
from openrealm.evaluate.answers import normalise

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "docs"
DOCS = ("fastapi", "nushell", "rust-book")
Question = dict[str, Any]


def questions(name: str) -> list[Question]:
    lines = (ROOT / "bench" / "questions" / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


ANSWERABLE = questions("docs.jsonl")
UNANSWERABLE = questions("docs-unanswerable.jsonl")


def spaced(text: str) -> str:
    return " ".join(text.split())


def files_of(question: Question) -> list[str]:
    return question["file"] if isinstance(question["file"], list) else [question["file"]]


def has_words(text: str, words: str) -> bool:
    return f" {normalise(words)} " in f" {normalise(text)} "


def test_every_question_has_the_keys_of_its_file() -> None:
    common = {"id": str, "docs": str, "split": str, "question": str, "answers": list}
    for rows, types in ((ANSWERABLE, {**common, "file": (str, list), "quote": str}), (UNANSWERABLE, common)):
        for row in rows:
            assert row.keys() == types.keys(), row
            assert all(row[key] and isinstance(row[key], types[key]) for key in types if key != "answers"), row
            assert row["docs"] in DOCS, row
            assert row["question"] == spaced(row["question"]), row
    assert not any(row["answers"] for row in UNANSWERABLE)


def test_ids_and_questions_are_unique() -> None:
    rows = ANSWERABLE + UNANSWERABLE
    assert len({row["id"] for row in rows}) == len(rows)
    assert len({normalise(row["question"]) for row in rows}) == len(rows)


def test_answers_are_short_and_distinct_however_they_are_spelt() -> None:
    for row in ANSWERABLE:
        normal = [normalise(answer) for answer in row["answers"]]
        assert normal, row
        assert all(normal), row
        assert len(set(normal)) == len(normal), row
        assert all(len(answer.split()) <= 12 for answer in row["answers"]), row
        assert row["quote"] == spaced(row["quote"]), row
        assert len(set(files_of(row))) == len(files_of(row)) > 0, row


@pytest.mark.parametrize("rows", [ANSWERABLE, UNANSWERABLE], ids=["answerable", "unanswerable"])
def test_half_of_each_project_is_for_reporting(rows: list[Question]) -> None:
    counts = Counter((row["docs"], row["split"]) for row in rows)
    assert counts.keys() == {(docs, split) for docs in DOCS for split in ("dev", "test")}
    assert all(abs(counts[docs, "dev"] - counts[docs, "test"]) <= 1 for docs in DOCS)


@pytest.mark.parametrize("docs", DOCS)
def test_quotes_and_answers_stand_in_the_files(tmp_path: Path, docs: str) -> None:
    archive = DATA / f"{docs}.tar.xz"
    if not archive.exists():
        pytest.skip(f"needs the documentation in {archive}")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    mine = [row for row in ANSWERABLE if row["docs"] == docs]
    names = {name for row in mine for name in files_of(row)}
    assert len(names) >= 25
    read = reader_of(".md")
    sources = {name: spaced((tmp_path / name).read_text(encoding="utf-8")) for name in names}
    pages = {name: spaced(read(tmp_path / name).article(name, name).text) for name in names}
    for row in mine:
        files = files_of(row)
        assert any(row["quote"] in sources[name] for name in files), row
        for answer in row["answers"]:
            assert any(answer in pages[name] for name in files), (answer, row)
        for name in files:
            assert any(has_words(pages[name], answer) for answer in row["answers"]), (name, row)
