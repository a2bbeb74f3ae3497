"""The files for Docker, without an engine: what they copy and start, and a server on the file systems they describe."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pathspec import GitIgnoreSpec

from openrealm.cli.main import app

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
ON_GPU: dict[str, Any] = yaml.safe_load((ROOT / "compose.cuda.yaml").read_text())["services"]
GUIDE = (ROOT / "docs" / "guide" / "docker.md").read_text()


def instructions(name: str) -> list[list[str]]:
    """The words of each instruction of that name in the Dockerfile, continued lines joined."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in joined.splitlines() if line.startswith(f"{name} ")]


COPIED = [word for words in instructions("COPY") for word in words[:-1]]


def in_image(words: list[str]) -> bool:
    """Whether the command line takes these words, which follow the entry point."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("openrealm", list(words))
    name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
    return bool(command.make_context(name, rest, parent=context))


def test_the_entry_point_and_all_commands_are_those_of_the_command_line() -> None:
    (line,) = re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.MULTILINE)
    assert json.loads(line) == ["openrealm"]
    (default,) = re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)
    assert json.loads(default) == SERVICES["documents"]["command"]
    shown = re.findall(r"^docker run .* openrealm:cpu (.*)$", GUIDE, re.MULTILINE)
    assert shown
    for words in [service["command"] for service in SERVICES.values()] + [shlex.split(line) for line in shown]:
        assert in_image(words)


def test_what_is_copied_exists_and_is_sent_to_the_engine() -> None:
    ignored = GitIgnoreSpec.from_lines((ROOT / ".dockerignore").read_text().splitlines())
    for name in COPIED:
        path = ROOT / name
        assert path.exists(), name
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file() and p.suffix != ".pyc"]
        assert [f for f in files if ignored.match_file(f.relative_to(ROOT))] == []
    assert all(ignored.match_file(name) for name in ("runs/x/config.json", ".git/config", "src/a/__pycache__/b.pyc"))


def test_names_agree_between_the_files() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    for extra in re.findall(r"\.whl\)\[([\w,]+)\]", DOCKERFILE)[0].split(","):
        assert re.search(rf"^{extra} = \[", text, re.MULTILINE), extra
    accelerators = re.findall(r"^ +(\w+)\) index=", DOCKERFILE, re.MULTILINE)
    assert accelerators == ["cpu", "cuda"]
    assert set(ON_GPU) == set(SERVICES) == set(re.findall(r"docker compose up (\w+)", GUIDE))
    for accelerator, services in zip(accelerators, (SERVICES, ON_GPU), strict=True):
        for service in services.values():
            assert service["build"]["args"] == {"ACCELERATOR": accelerator}
            assert service["image"] == f"openrealm:{accelerator}"


def mounts(service: dict[str, Any]) -> dict[str, bool]:
    """Where something is mounted in the container, and whether it can be written there."""
    found = {}
    for volume in service["volumes"]:
        _, place, mode = re.fullmatch(r"(\$\{.*?\}|\w+):(/[^:]+)(:ro)?", volume).groups()  # type: ignore[union-attr]
        found[place] = mode is None
    return found


def test_only_what_is_kept_can_be_written() -> None:
    assert mounts(SERVICES["documents"]) == {"/documents": False, "/data/runs": True}
    assert mounts(SERVICES["trained"]) == {"/data/runs/trained": False}
    for service in SERVICES.values():
        assert service["read_only"]
        assert service["tmpfs"] == ["/tmp"]
        assert service["cap_drop"] == ["ALL"]
        assert [port.rpartition(":")[2] for port in service["ports"]] == ["8000"]
        assert "$" not in service["healthcheck"]["test"][-1]
        compile(service["healthcheck"]["test"][-1], "healthcheck", "exec")


# The same mounts, with the container's paths below a folder: everything is read-only but a tmpfs and what is kept.
_CONTAINER = """
set -eu
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
mount -t tmpfs tmpfs "$ROOT/tmp"
for kept in $WRITABLE; do mount --bind "$ROOT$kept" "$ROOT$kept"; done
mount -o remount,bind,ro "$ROOT"
mount -o remount,bind,ro /
if touch "$ROOT/data/x" 2>/dev/null; then echo "$ROOT/data can be written" >&2; exit 1; fi
cd "$ROOT/data"
exec "$@"
"""
_UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Any]:
    """`container(service)` starts its command on its mounts, at a free port; tests fill `tmp_path` before."""
    if not shutil.which("unshare") or subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let users mount file systems")
    processes = []

    def start(service: dict[str, Any]) -> subprocess.Popen[str]:
        writable = [place for place, can_write in mounts(service).items() if can_write]
        for place in ("/tmp", "/data", *writable):
            (tmp_path / place[1:]).mkdir(parents=True, exist_ok=True)
        words = [str(tmp_path / word[1:]) if word.startswith("/") else word for word in service["command"]]
        environment = os.environ | {
            "ROOT": str(tmp_path),
            "WRITABLE": " ".join(writable),
            "HOME": str(tmp_path / "home"),  # there is none in the image
            "TMPDIR": str(tmp_path / "tmp"),
            "OPENREALM_TOKEN": "secret",
            "PYTHONPATH": str(ROOT / "src"),
        }
        command = [*_UNSHARE, "sh", "-c", _CONTAINER, "sh", sys.executable, "-m", "openrealm.cli", *words]
        process = subprocess.Popen([*command, "--port", "0"], env=environment, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def answer_of(process: subprocess.Popen[str], question: str) -> dict[str, Any]:
    """The answer of a server that is starting, after a look at its health."""
    assert process.stderr is not None
    lines: list[str] = []
    while not (found := re.search(r"at http://0\.0\.0\.0:(\d+)/", lines[-1] if lines else "")):
        lines.append(process.stderr.readline())
        assert lines[-1], "".join(lines)
    connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=120)
    connection.request("GET", "/healthz")
    response = connection.getresponse()
    assert (response.status, bool(response.read())) == (200, True)
    headers = {"Content-Type": "application/json", "Authorization": "Bearer secret"}
    connection.request("POST", "/v1/ask", json.dumps({"question": question}), headers)
    response = connection.getresponse()
    body: dict[str, Any] = json.loads(response.read())
    assert response.status == 200, body
    return body["answers"][0]  # type: ignore[no-any-return]


def test_documents_are_served_from_read_only_file_systems(container: Any, tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="needs the extra `serve`")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "library.md").write_text("# The library\n\nThe library opened in 1921.\n")
    process = container(SERVICES["documents"])
    assert answer_of(process, "When did the library open?")["text"] == "1921"
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    assert list((tmp_path / "data" / "runs").glob("documents/*/index"))
    assert not list((tmp_path / "data").glob("[!r]*"))


def test_a_run_is_served_from_read_only_file_systems(container: Any, tmp_path: Path, answering_run: Path) -> None:
    pytest.importorskip("fastapi", reason="needs the extra `serve`")
    shutil.copytree(answering_run, tmp_path / "data" / "runs" / "trained")
    process = container(SERVICES["trained"])
    assert answer_of(process, "What is the capital?")["version"]["system"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0


@pytest.mark.package
def test_what_is_copied_builds_the_wheel(tmp_path: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", "wheels", "."]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert len(list((tmp_path / "wheels").glob("openrealm-*.whl"))) == 1
