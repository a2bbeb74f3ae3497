"""Writing under kills, on a full disk and with concurrent writers, in real processes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from openrealm import files
from openrealm.errors import Busy

NUM_KILLS = 40


def start(program: str, *arguments: Path) -> subprocess.Popen[str]:
    """Run `program` in a new Python process; returns once it has printed its first line."""
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def kill(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert child.stdout is not None
    child.stdout.close()


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.name.startswith((".tmp-", ".old-")))


SEALED = """
    import hashlib, sys
    from pathlib import Path
    from openrealm import files
    def sealed(n):
        body = str(n).encode() * 200_000
        return hashlib.sha256(body).hexdigest().encode() + body
    path, n = Path(sys.argv[1]), 0
    while True:
        n += 1
        {write}
        if n == 1:
            print("ready", flush=True)
"""


def is_intact(data: bytes) -> bool:
    return len(data) > 64 and hashlib.sha256(data[64:]).hexdigest().encode() == data[:64]


def num_kills_that_tore_the_file(write: str, path: Path, num_kills: int) -> int:
    delays = random.Random(1)
    num_torn = 0
    for _ in range(num_kills):
        child = start(SEALED.format(write=write), path)
        time.sleep(delays.uniform(0, 0.03))
        kill(child)
        num_torn += not is_intact(path.read_bytes())
    return num_torn


def test_a_file_is_intact_after_any_kill(tmp_path: Path) -> None:
    path = tmp_path / "state"
    assert num_kills_that_tore_the_file("files.write_bytes(path, sealed(n))", path, NUM_KILLS) == 0
    num_left = len(leftovers(tmp_path))
    assert files.sweep(tmp_path) == num_left
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


def test_the_same_kills_tear_a_plain_write(tmp_path: Path) -> None:
    assert num_kills_that_tore_the_file("path.write_bytes(sealed(n))", tmp_path / "state", NUM_KILLS) > 0


FOLDERS = """
    import sys
    from pathlib import Path
    from openrealm import files
    path, n = Path(sys.argv[1]), 0
    while True:
        n += 1
        with files.new_folder(path, {"n": n}) as out:
            for name in ("a", "b/c"):
                (out / name).parent.mkdir(exist_ok=True)
                (out / name).write_text(str(n) * 50_000)
        if n == 1:
            print("ready", flush=True)
"""


def number_of(folder: Path) -> int:
    """The number that the manifest and both files agree on; fails if they do not."""
    number = files.read_manifest(folder)["n"]
    assert {(folder / name).read_text() for name in ("a", "b/c")} == {str(number) * 50_000}
    return int(number)


def test_a_folder_is_intact_after_any_kill(tmp_path: Path) -> None:
    delays = random.Random(2)
    for _ in range(NUM_KILLS):
        child = start(FOLDERS, tmp_path / "version")
        time.sleep(delays.uniform(0, 0.03))
        kill(child)
        assert number_of(tmp_path / "version") >= 1
    files.sweep(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["version"]


def test_a_reader_finds_the_folder_at_any_moment(tmp_path: Path) -> None:
    folder = tmp_path / "version"
    child = start(FOLDERS, folder)
    seen, end = set(), time.monotonic() + 20
    while len(seen) < 20 and time.monotonic() < end:
        seen.add(json.loads((folder / files.MANIFEST).read_text())["n"])
    kill(child)
    assert len(seen) > 2


WRITER = """
    import sys, time
    from pathlib import Path
    from openrealm import files
    with files.sole_writer(Path(sys.argv[1])):
        (Path(sys.argv[1]) / f".tmp-{2**22 + 1}-x").write_text("left by a killed process")
        print("ready", flush=True)
        time.sleep(60)
"""


def test_a_second_writer_is_rejected_until_the_first_dies(tmp_path: Path) -> None:
    child = start(WRITER, tmp_path)
    with pytest.raises(Busy, match=rf"process {child.pid};"), files.sole_writer(tmp_path):
        pass
    kill(child)
    with files.sole_writer(tmp_path):
        assert leftovers(tmp_path) == []
        with pytest.raises(Busy, match=rf"process {os.getpid()};"), files.sole_writer(tmp_path):
            pass
    with files.sole_writer(tmp_path):
        pass


FULL = """
    import sys
    from pathlib import Path
    import numpy as np
    from openrealm import files
    from openrealm.errors import NoSpace
    folder = Path(sys.argv[1])
    def attempt(name, write):
        try:
            write()
        except NoSpace as error:
            print(name, error)
        else:
            print(name, "succeeded")
    files.write_bytes(folder / "state", b"old")
    files.append_line(folder / "log", "first")
    with files.new_folder(folder / "version", {"n": 1}) as out:
        (out / "a").write_text("1")
    def version(write):
        with files.new_folder(folder / "version", {"n": 2}) as out:
            write(out)
    big = np.ones(3_000_000, np.uint8)
    attempt("bytes", lambda: files.write_bytes(folder / "state", big.tobytes()))
    attempt("line", lambda: files.append_line(folder / "log", "x" * 3_000_000))
    attempt("folder", lambda: version(lambda out: (out / "a").write_bytes(big.tobytes())))
    attempt("numpy", lambda: version(lambda out: np.save(out / "a.npy", big)))
    print("state", (folder / "state").read_bytes())
    print("log", (folder / "log").read_bytes())
    print("n", files.read_manifest(folder / "version")["n"])
    print("names", sorted(path.name for path in folder.iterdir()))
"""


AS_THE_FIRST_PROCESS = """
    import os, signal, sys
    from pathlib import Path
    from openrealm import files
    folder = Path(sys.argv[1])
    assert os.getpid() == 1
    with files.sole_writer(folder):
        files.remove_folder(folder / "old")
        with files.new_folder(folder / "version") as out:
            (out / "part").write_text("half")
            print(sorted(str(path.relative_to(folder)) for path in folder.rglob("*")), flush=True)
            if "killed" in sys.argv:
                os._exit(9)
"""


@pytest.mark.parametrize("proc", [[], ["--mount-proc"]], ids=["proc of the host", "own proc"])
def test_the_first_process_of_a_container_removes_what_its_killed_predecessor_left(
    tmp_path: Path, proc: list[str]
) -> None:
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(AS_THE_FIRST_PROCESS))
    container = ["unshare", "--map-root-user", "--pid", "--fork", *proc]
    if not shutil.which("unshare") or subprocess.run([*container, "true"], capture_output=True).returncode:
        pytest.skip("cannot start a process with the id 1: unshare --pid --map-root-user is not permitted here")
    (tmp_path / "run" / "old").mkdir(parents=True)
    for words in (["killed"], ["killed"], []):
        command = [*container, sys.executable, str(script), str(tmp_path / "run"), *words]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode == 0) == (not words), done.stderr
        assert done.stdout.count(".tmp-") == 2, "its own folder and the file in it"
        (tmp_path / "run" / "old").mkdir(exist_ok=True)
    assert leftovers(tmp_path / "run") == []
    assert files.read_manifest(tmp_path / "run" / "version")


def on_a_full_disk(program: str, tmp_path: Path) -> str:
    """The output of `program` run on a real 1 MB file system, mounted in a separate namespace."""
    disk = tmp_path / "disk"
    disk.mkdir()
    in_namespace = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=1m tmpfs '{disk}'"
    if not shutil.which("unshare") or subprocess.run([*in_namespace, mount], capture_output=True).returncode:
        pytest.skip(
            "cannot mount a small file system to fill up: unshare --mount --map-root-user is not permitted here"
        )
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(program))
    run = [*in_namespace, f"{mount} && exec '{sys.executable}' '{script}' '{disk}'"]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_full_disk_gives_a_clear_error_and_keeps_the_old_files(tmp_path: Path) -> None:
    printed = dict(line.split(" ", 1) for line in on_a_full_disk(FULL, tmp_path).splitlines())
    for name in ("bytes", "line", "folder", "numpy"):
        assert "the disk is full" in printed[name], printed
    assert "3,000,000 bytes are needed" in printed["bytes"]
    assert printed["state"] == "b'old'"
    assert printed["log"] == r"b'first\n'"
    assert printed["n"] == "1"
    assert printed["names"] == "['log', 'state', 'version']"
