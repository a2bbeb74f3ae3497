"""Every code block of the documentation runs, page by page, or says above itself why it does not.

A block of `python` or `sh` runs unless `<!-- not run: REASON -->` stands above it. The blocks of a page run in order in
one folder (`world`), and its Python blocks share their names. To keep pages to seconds, settings are appended to some
commands (`smaller`) and numbers replaced in Python code (REPLACED). Commands that set up an environment are only
checked: the target of make, the extra of pip. So is a block that does not run: its commands must parse, its Python must
compile. A block below `<!-- peers: FOLDER... -->` needs packages in .venv-peers; `make test-peers` runs it.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from markdown_it import MarkdownIt

from openrealm import registry
from openrealm.cli.main import app, main
from openrealm.config import Config
from openrealm.types import Article

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
REGISTRIES = [value for value in vars(registry).values() if isinstance(value, registry.Registry)]
CODE, DATA = {"python", "sh"}, {"json", "toml", "yaml", "text"}


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str
    mark: str = ""  # "not run" or "peers"
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    mark, reason, name = "", "", str(page.relative_to(ROOT))
    for token in MarkdownIt().parse(page.read_text()):
        if token.type == "fence":
            assert token.map is not None
            yield Block(name, token.map[0] + 1, token.info, token.content, mark, reason)
        if found := re.fullmatch(r"<!-- (not run|peers): (.*) -->\s*", token.content, re.DOTALL):
            mark, reason = found.groups()
        elif token.nesting >= 0:
            mark, reason = "", ""


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
RUN = {
    page: [b for b in BLOCKS if b.page == page and b.language in CODE and not b.mark]
    for page in sorted({b.page for b in BLOCKS})
}
NOT_RUN = [block for block in BLOCKS if block.mark == "not run"]


def commands_of(block: Block) -> list[str]:
    """The lines of a shell block, continued ones joined."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def test_every_block_names_its_language_and_every_mark_a_reason() -> None:
    assert [f"{b}: {b.language!r}" for b in BLOCKS if b.language not in CODE | DATA] == []
    marked = [b for b in BLOCKS if b.mark]
    assert [str(b) for b in marked if b.language not in CODE] == []
    assert [f"{b}: {b.reason!r}" for b in marked if b.mark == "not run" and len(b.reason.split()) < 3] == []
    marks = sum(page.read_text().count(f"<!-- {mark}: ") for page in PAGES for mark in ("not run", "peers"))
    assert marks == len(marked), "a mark stands right above its block"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language in DATA - {"text"}], ids=str)
def test_blocks_of_data_are_well_formed(block: Block) -> None:
    if block.language == "toml":
        tomllib.loads(block.text)
    else:
        [json.loads(line) for line in block.text.splitlines()]


@pytest.mark.parametrize("block", NOT_RUN, ids=str)
def test_blocks_that_do_not_run_are_written_correctly(block: Block) -> None:
    if block.language == "python":
        compile(block.text, str(block), "exec")
    for line in commands_of(block):
        check_command(shlex.split(line, comments=True))


def check_command(words: list[str]) -> None:
    """Check that a command exists and takes these arguments."""
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), words
    elif words[0] == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert {extra for word in words for extra in re.findall(r"openrealm\[(\w+)\]", word)} <= set(extras), words
    elif words[0] == "openrealm":
        command: Any = typer.main.get_command(app)
        context = command.make_context("openrealm", words[1:])
        while words := [*getattr(context, "_protected_args", ()), *context.args]:
            name, command, rest = command.resolve_command(context, words)
            context = command.make_context(name, rest, parent=context)


@pytest.fixture
def world(
    tmp_path: Path, toy_articles: list[Article], answering_run: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> Path:
    """The working directory of a page: documents, files of rows and questions, and a finished run."""
    shutil.copytree(ROOT / "tests" / "data" / "markdown", tmp_path / "my_docs")
    shutil.copytree(answering_run, tmp_path / "runs" / "wiki")
    rows = [{"id": a.id, "title": a.title, "text": a.text} for a in toy_articles]
    questions = [
        {"question": f"What is the capital of {a.title}?", "answer": [re.split(r" is |\. ", a.text)[1]]}
        | {"title": a.title, "passage": a.text}
        for a in toy_articles[:-1]
    ]
    write_rows(tmp_path / "wiki.jsonl", rows)
    write_rows(tmp_path / "questions.jsonl", questions)
    (tmp_path / "asked.txt").write_text("Where is the library?\nWho bakes the bread?\n")
    command = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m openrealm.cli "$@"\n'
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "openrealm").write_text(command)
    (tmp_path / "bin" / "openrealm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def smaller(
    toy_answering: Path, toy_config: Callable[..., Config], as_settings: Callable[[Config], list[str]]
) -> dict[str, list[str]]:
    """What is appended to commands, by their first words."""
    run = f"model.backbone={toy_answering}", "warm_start.num_steps=0", "masking.kinds=entity,date,number"
    benchmark = as_settings(toy_config("warm_start.num_steps=2"))
    return {"run": as_settings(toy_config(*run)), "benchmark": ["--minutes", "0.01", "--seeds", "1", *benchmark]}


# Numbers in Python code that make it take seconds.
REPLACED = {"num_steps=1000": "num_steps=2"}


SLOW = {"docs/guide/adapt.md", "docs/guide/losses.md"}  # train real encoders


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] if page in SLOW else []) for page, blocks in RUN.items() if blocks],
)
def test_the_blocks_of_a_page_run(
    page: str, world: Path, smaller: dict[str, list[str]], registries: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_page(page, smaller, monkeypatch)


PEERS = [block for block in BLOCKS if block.mark == "peers"]


@pytest.mark.peers
@pytest.mark.parametrize("page", sorted({block.page for block in PEERS}))
def test_the_blocks_with_other_packages_run(
    page: str, world: Path, smaller: dict[str, list[str]], registries: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in a process of its own, after the rest of its page."""
    run_page(page, smaller, monkeypatch)
    for block in (block for block in PEERS if block.page == page):
        places = [ROOT / ".venv-peers" / name for name in block.reason.split()]
        if missing := [str(place) for place in places if not place.is_dir()]:
            pytest.skip(f"{', '.join(missing)} is not there; `make test-peers` makes it")
        paths = os.pathsep.join(map(str, [*places, ROOT / "src"]))
        environment = os.environ | {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "HAYSTACK_TELEMETRY_ENABLED": "false"}
        done = subprocess.run([sys.executable, "-c", block.text], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stderr}"


def run_page(page: str, smaller: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in RUN[page]:
        if block.language == "python":
            text = block.text
            for number, small in REPLACED.items():
                text = text.replace(number, small)
            exec(compile("\n" * block.line + text, page, "exec"), names)
            continue
        for line in commands_of(block):
            run_command(line, smaller, str(block), monkeypatch)


def run_command(line: str, smaller: dict[str, list[str]], where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(line, comments=True)
    if words[0] in ("make", "pip"):
        check_command(words)
    elif words[0] == "openrealm" and not {"|", ">"} & set(words):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Where is the library?\n")))
        assert main([*words[1:], *smaller.get(words[1], [])]) == 0, f"{where}: {line}"
    else:
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", line], capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, f"{where}: {line}\n{done.stderr}"


@pytest.fixture
def registries() -> Iterator[None]:
    """What a page registers is removed at its end."""
    known = [(each, set(each.names())) for each in REGISTRIES]
    yield
    for each, before in known:
        for name in set(each.names()) - before:
            each.remove(name)
