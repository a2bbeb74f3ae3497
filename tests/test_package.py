"""The package as people get it: an sdist, the wheel built from it, and its commands in a fresh environment.

Nothing here runs from the source tree: the working directory of every command is outside it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("build", reason="needs the extra `package` (make test-package)")

pytestmark = [pytest.mark.package, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parent.parent
QUESTION = "When did the library open?"
OF_THE_TESTS = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "OPENREALM_TOKEN"}
CORPUS = ["corpus", "--run", "names", "--set", "model.backbone=openrealm-mini"]


@dataclass(frozen=True)
class Installation:
    """A virtual environment with the wheel, and a folder to work in."""

    environment: Path
    folder: Path

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        command = [str(self.environment / "bin" / words[0]), *words[1:]]
        kept = {name: value for name, value in os.environ.items() if name not in OF_THE_TESTS}
        return subprocess.Popen(
            command, cwd=self.folder, env=kept | variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *words: str, expected: int = 0) -> tuple[str, str]:
        """Standard output and standard error of a command."""
        with self.start(*words) as process:
            out, errors = process.communicate()
        assert process.returncode == expected, f"{words}\n{out}\n{errors}"
        return out, errors


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(distributions: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel with the extra `serve` alone, in the versions of constraints.txt."""
    environment, folder = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("home")
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    (folder / "docs").mkdir()
    (folder / "docs" / "library.md").write_text(
        "# The library\n\nThe library of Oberlind stands in the old mill beside the river. It opened in 1921.\n"
    )
    installed = Installation(environment, folder)
    installed.run("pip", "install", "--constraint", str(ROOT / "constraints.txt"), f"{distributions[1]}[serve]")
    return installed


def test_the_sdist_holds_what_builds_and_tests_the_package(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    named = "LICENSE NOTICE README.md Makefile Dockerfile compose.yaml constraints.txt docs/cli.md tests/conftest.py"
    assert set(named.split()) <= names
    assert not [name for name in names if re.match(r"(\.git/|\.venv|runs/|build/|dist/)|.*\.pyc$", name)]


def test_the_wheel_holds_the_whole_package_and_nothing_else(distributions: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(distributions[1]) as archive:
        names = set(archive.namelist())
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    package = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src/openrealm").rglob("*") if path.is_file()}
    assert {name for name in names if ".dist-info/" not in name} == {n for n in package if "__pycache__" not in n}
    held = "py.typed weights/openrealm-qa/model.safetensors serve/page/index.html evaluate/assets/uPlot.LICENSE"
    assert {f"openrealm/{name}" for name in held.split()} <= names
    assert {name.rpartition("/")[2] for name in names if "/licenses/" in name} == {"LICENSE", "NOTICE"}
    assert "License-Expression: Apache-2.0 AND CC-BY-SA-4.0 AND CC-BY-SA-3.0" in metadata


def test_it_is_the_installed_package_that_runs(installed: Installation) -> None:
    assert re.fullmatch(r"openrealm \d+\.\d+\.\d+\n", installed.run("openrealm", "--version")[0])
    place = installed.run("python", "-c", "import openrealm; print(openrealm.__file__)")[0]
    assert Path(place.strip()).is_relative_to(installed.environment)
    installed.run("pip", "check")


def test_a_folder_is_asked(installed: Installation) -> None:
    out, _ = installed.run("openrealm", "ask", "--corpus", "docs", QUESTION)
    assert out.startswith("1921 ")
    assert "library.md, line 3" in out


@contextlib.contextmanager
def serving(installed: Installation, *words: str) -> Iterator[str]:
    """The address of a server, which is then stopped by SIGTERM and has to exit with 0."""
    with installed.start("openrealm", "serve", *words, "--port", "0") as process:
        assert process.stderr is not None
        try:
            lines: list[str] = []
            while not (found := re.search(r"at (http://\S+/)", lines[-1] if lines else "")):
                lines.append(process.stderr.readline())
                assert lines[-1], "".join(lines)
            yield found[1]
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0
            assert "all requests were answered" in process.stderr.read()
        finally:
            process.kill()


def test_a_folder_is_served(installed: Installation) -> None:
    with serving(installed, "--corpus", "docs") as address:
        body = json.dumps({"question": QUESTION}).encode()
        request = urllib.request.Request(f"{address}v1/ask", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            assert json.load(response)["answers"][0]["text"] == "1921"
        with urllib.request.urlopen(address) as page:
            assert "<html" in page.read().decode()


def test_the_quickstart_trains_and_its_run_is_served(installed: Installation) -> None:
    """In the least time that it takes; it then trains only a few steps, or none on a busy machine."""
    out, _ = installed.run("openrealm", "quickstart", "--minutes", "1")
    assert re.search(r"^BM25 +\d", out, re.MULTILINE), out
    with serving(installed, "quickstart") as address, urllib.request.urlopen(f"{address}v1/info") as response:
        assert json.load(response)["systems"]


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["ask", "--corpus", "note.pdf", "Who?"], "pdf"),
        (["ask", "--corpus", "note.rst", "Who?"], "rst"),
        (["ask", "--corpus", "note.docx", "Who?"], "office"),
        (["quickstart", "--recipe", "factbook"], "factbook"),
        ([*CORPUS, "--source", "note.xml"], "wikipedia"),
        ([*CORPUS, "--source", "datasets:imdb"], "datasets"),
        ([*CORPUS, "--source", "docs", "--set", "corpus.tagger=spacy:en_core_web_sm"], "spacy"),
        (["corpus", "inspect", "--run", "names", "--plot", "lengths.png"], "plots"),
        (["convert", "MODEL", "--to", "onnx", "--out", "graph"], "onnx"),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(installed: Installation, words: list[str], extra: str) -> None:
    for name in ("note.pdf", "note.rst", "note.docx"):
        (installed.folder / name).write_bytes(b"A note\n======\n\nThe library opened in 1921.\n")
    (installed.folder / "note.xml").write_text(
        '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/"><siteinfo/></mediawiki>'
    )
    model = next(installed.environment.glob("lib/*/site-packages/openrealm/weights/openrealm-qa"))
    _, errors = installed.run("openrealm", *(str(model) if word == "MODEL" else word for word in words), expected=2)
    line = errors.splitlines()[-1]
    assert re.search(rf"""pip install ['"]openrealm\[{extra}\]['"]""", line), errors
    assert "Traceback" not in errors
