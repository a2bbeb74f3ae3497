"""The questions on documentation that openrealm-qa is trained on, and how they are put together with passages."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from openrealm.evaluate.answers import normalise

QUESTIONS = Path(__file__).parents[2] / "bench" / "questions"
PAGES = {
    "mill-1.0/docs/oven.md": "# The oven\n\nIt is lit with `mill --fire`.\n\n# Flour\n\nFlour is kept dry.\n",
    "mill-1.0/docs/other.md": "# Other\n\nNobody asks about this page.\n",
    "mill-1.0/tests/docs/oven.md": "# Another file\n\nOf the same name, deeper.\n",
}
ROWS = (
    {"question": "How do I light it?", "answers": ["mill --fire"], "start": "The oven"},
    {"question": "Where is the flour?", "answers": ["cellar"], "start": "Flour"},
)


@pytest.fixture(scope="module")
def qa_sources(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("qa_sources")


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    """A folder with an archive of documentation, beside a file of questions and one of sources."""
    folder = tmp_path / "archives"
    folder.mkdir()
    with tarfile.open(folder / "mill-1.0.tar.gz", "w:gz") as packed:
        for name, text in PAGES.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            packed.addfile(member, io.BytesIO(text.encode()))
    rows = [{"source": "mill-1.0", "file": "docs/oven.md", **row} for row in ROWS]
    rows.append({"source": "gone-2", "file": "docs/a.html", "question": "What?", "answers": ["a"], "start": "a"})
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    digest = hashlib.sha256((folder / "mill-1.0.tar.gz").read_bytes()).hexdigest()
    sources = {
        "mill-1.0": {"archive": "mill-1.0.tar.gz", "sha256": digest},
        "gone-2": {"archive": "gone_2_all.deb", "sha256": "0" * 64},
    }
    (tmp_path / "sources.json").write_text(json.dumps(sources))
    return folder


def test_questions_get_their_passages_and_the_others_of_their_files_are_kept(
    qa_sources: ModuleType, archives: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = archives.parent
    found = list(qa_sources.documentation(given / "rows.jsonl", given / "sources.json", archives))
    asked = [row for row in found if "question" in row]
    assert [(row["question"], row["answer"]) for row in asked] == [("How do I light it?", ["mill --fire"])]
    assert "mill --fire" in asked[0]["passage"]
    assert not any("Nobody" in row["passage"] or "deeper" in row["passage"] for row in found)
    said = capsys.readouterr().err
    assert "no passage for 'Where is the flour?'" in said
    assert f"gone-2 is not in {archives}: 1 questions left out" in said


def test_another_archive_of_the_same_name_is_refused(qa_sources: ModuleType, archives: Path) -> None:
    (archives / "mill-1.0.tar.gz").write_bytes(b"another")
    given = archives.parent
    with pytest.raises(SystemExit, match="another SHA-256 digest"):
        list(qa_sources.documentation(given / "rows.jsonl", given / "sources.json", archives))


def test_the_questions_are_whole_and_none_is_one_of_the_test_questions() -> None:
    rows = [json.loads(line) for line in (QUESTIONS / "docs-training.jsonl").read_text(encoding="utf-8").splitlines()]
    sources = json.loads((QUESTIONS / "docs-training-sources.json").read_text(encoding="utf-8"))
    assert len(rows) > 10_000
    assert {row["source"] for row in rows} == sources.keys()
    assert not any(source.startswith(("fastapi-", "nushell", "rust", "click")) for source in sources)
    for row in rows:
        assert row.keys() == {"source", "file", "question", "answers", "start"}, row
        assert row["answers"], row
        assert all(isinstance(answer, str) and answer.strip() for answer in row["answers"]), row
        assert len(row["start"].split()) <= 6, row
    asked = {normalise(row["question"]) for row in rows}
    for name in ("docs.jsonl", "docs-unanswerable.jsonl"):
        for line in (QUESTIONS / name).read_text(encoding="utf-8").splitlines():
            assert normalise(json.loads(line)["question"]) not in asked
