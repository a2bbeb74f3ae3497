"""Documents are read in a child process, which a file may kill without harm to the run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from openrealm.corpus.readers import EXTENSIONS, is_own, reader_of
from openrealm.corpus.readers.boxed import DocumentBox
from openrealm.corpus.sources import folder, open_source
from openrealm.errors import BadInput
from openrealm.types import DEFAULT_LIMITS, Limits

CONTENTS = {
    ".txt": "The mill was built in 1902.\n",
    ".md": "# Polle\n\nThe mill \U0001f3e0 was [built](x.md) in 1902.\n\n    code\n",
    ".html": "<title>Polle</title><p>The mill was built in 1902.",
    ".xhtml": '<html><head><title/><script src="a.js"/></head><body><p>The mill was built in 1902.</p></body></html>',
    ".rst": "Polle\n=====\n\nThe mill was *built* in 1902.\n",
    ".ipynb": '{"cells": [{"cell_type": "markdown", "source": "In 1902."}, {"cell_type": "code", "outputs": []}]}',
}


@pytest.fixture
def box() -> Iterator[DocumentBox]:
    made = DocumentBox(Limits(max_file_seconds=20))
    yield made
    made.close()


@pytest.mark.parametrize("extension", CONTENTS)
def test_a_document_is_the_same_as_in_this_process(extension: str, tmp_path: Path, box: DocumentBox) -> None:
    path = tmp_path / f"caf\udce9{extension}"
    path.write_bytes(CONTENTS[extension].encode())
    found = box.read(path)
    assert found == reader_of(extension)(path, DEFAULT_LIMITS)
    assert "1902" in found.article("a", "a").text


def test_errors_are_the_same_as_in_this_process(tmp_path: Path, box: DocumentBox) -> None:
    path = tmp_path / "a.md"
    path.write_bytes(b"abc\0def")
    with pytest.raises(BadInput) as here:
        reader_of(".md")(path, DEFAULT_LIMITS)
    with pytest.raises(BadInput) as there:
        box.read(path)
    assert str(there.value) == str(here.value)


def test_every_extension_but_that_of_plain_text_is_read_in_the_child() -> None:
    assert [extension for extension in EXTENSIONS if is_own(extension)] == [".txt"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("slow.rst", "*a*\n\n" * 200_000), ("slow.md", "*a*\n\n" * 400_000), ("slow.html", "<p><b>a</b>" * 1_000_000)],
)
def test_a_file_that_takes_too_long_is_unreadable_and_the_others_are_read(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Lima.")
    (tmp_path / name).write_text(text)
    (tmp_path / "z.md").write_text("Cusco.")
    source = open_source(tmp_path, skip_unreadable=True, limits=Limits(max_file_seconds=0.7))
    assert [article.text for article in source.articles()] == ["Lima.", "Cusco."]
    message = f"{name} takes more than 0.7 s to read; remove it, save it again with another program, or raise"
    assert message in source.description["examples"]["unreadable file"][0]


def test_a_file_that_takes_too_much_memory_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Lima.")
    (tmp_path / "large.md").write_text("*a*\n\n" * 400_000)
    (tmp_path / "z.md").write_text("Cusco.")
    source = open_source(tmp_path, skip_unreadable=True, limits=Limits(max_file_memory_mb=512))
    assert [article.text for article in source.articles()] == ["Lima.", "Cusco."]
    message = "large.md takes more than 512 MB of memory to read; .* or raise corpus.max_file_memory_mb"
    with pytest.raises(BadInput, match=message):
        list(open_source(tmp_path, limits=Limits(max_file_memory_mb=512)).articles())


def test_a_file_that_crashes_its_reader_is_unreadable(tmp_path: Path, box: DocumentBox) -> None:
    (tmp_path / "a.md").write_text("Lima.")
    (tmp_path / "slow.md").write_text("*a*\n\n" * 400_000)
    expected = box.read(tmp_path / "a.md")
    child = box._child
    assert child is not None
    timer = threading.Timer(0.3, os.kill, (child.pid, signal.SIGSEGV))
    timer.start()
    with pytest.raises(BadInput, match=r"slow\.md crashes the library that reads it; remove it, or save it again"):
        box.read(tmp_path / "slow.md")
    timer.join()
    assert box.read(tmp_path / "a.md") == expected


def test_one_child_reads_all_files_and_ends_with_the_source(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.md").write_text(f"Text {number}.")
    (tmp_path / "9.txt").write_text("Text 9.")
    seen = [(article.text, children()) for article in folder.read(tmp_path)]
    assert [text for text, _ in seen] == ["Text 0.", "Text 1.", "Text 2.", "Text 9."]
    assert len({tuple(processes) for _, processes in seen}) == len(seen[0][1]) == 1
    assert children() == []


def test_plain_text_needs_no_child(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Lima.")
    assert [(article.text, children()) for article in folder.read(tmp_path)] == [("Lima.", [])]


def children() -> list[int]:
    """Processes of this one that read documents."""
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes()
            parent = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if b"boxed_worker" in command and int(parent) == os.getpid():
            found.append(int(process))
    return found
