"""Every public name has a docstring with an example, and all examples run."""

from __future__ import annotations

import doctest
import inspect
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import openrealm
from openrealm import callbacks, registry, tasks

MARKDOWN = Path(__file__).parent / "data" / "markdown"
CONLL = "The O\nlibrarian O\nAda B-PER\nlives O\nin O\nLondon B-LOC\n. O\n\n"


def public() -> Iterator[tuple[str, Any]]:
    """All public classes and functions by name."""
    for module, prefix in ((openrealm, ""), (tasks, "tasks."), (callbacks, "callbacks."), (registry, "registry.")):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                yield prefix + name, value
    yield "openrealm", openrealm


PUBLIC = dict(public())


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files used in examples: my_docs/, its corpus, questions and labelled names."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(MARKDOWN, folder / "my_docs")
    (folder / "questions.jsonl").write_text(json.dumps({"question": "Where is the library?", "answer": "the old mill"}))
    (folder / "names.conll").write_text(CONLL * 3)
    openrealm.Corpus.build(folder / "my_docs", folder / "corpus")
    return folder


@pytest.fixture
def world(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Path:
    """The working directory of one example."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_has_an_example_in_its_docstring(name: str) -> None:
    assert ">>>" in (inspect.getdoc(PUBLIC[name]) or ""), name


@pytest.mark.parametrize("name", PUBLIC)
def test_the_examples_of_a_public_name_run(name: str, world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = PUBLIC[name]
    finder = doctest.DocTestFinder(recurse=not inspect.ismodule(value))
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for example in finder.find(value, name):
        runner.run(example)
    assert runner.tries > 0
    assert runner.failures == 0, capsys.readouterr().out
