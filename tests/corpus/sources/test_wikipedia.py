from __future__ import annotations

import bz2
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from openrealm.corpus.sources import open_source
from openrealm.corpus.sources.wikipedia import Dump, cache_folder
from openrealm.errors import BadConfig, BadInput, Busy

DUMP = Dump("testwiki", "20260101")
Serve = Callable[..., "Server"]


class Server:
    """A mirror in a process of its own, over real sockets."""

    def __init__(self, folder: Path, log: Path, *arguments: str) -> None:
        script = Path(__file__).with_name("serve_ranges.py")
        self.log = log
        with log.open("wb") as handle:
            command = [sys.executable, str(script), str(folder), *arguments]
            self.process = subprocess.Popen(command, stdout=handle)
        while not (lines := self.lines()):
            assert self.process.poll() is None
            time.sleep(0.02)
        self.address = f"http://127.0.0.1:{lines[0]}"

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def requests(self) -> list[tuple[int, int]]:
        """First byte and number of bytes of every answer with the dump."""
        return [(int(a), int(b)) for name, a, b in map(str.split, self.lines()[1:]) if name == DUMP.file_name]


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror's folder with a dump of 1.2 MB that does not compress, and its check sums."""
    import random

    folder = tmp_path_factory.mktemp("mirror")
    below = folder / "testwiki" / "20260101"
    below.mkdir(parents=True)
    data = random.Random(0).randbytes(1_200_000)
    (below / DUMP.file_name).write_bytes(data)
    sums = f"{'0' * 40}  testwiki-20260101-all-titles.gz\n{hashlib.sha1(data).hexdigest()}  {DUMP.file_name}\n"
    (below / "testwiki-20260101-sha1sums.txt").write_text(sums)
    return folder


@pytest.fixture
def serve(mirrored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    started: list[Server] = []

    def start(speed: int = 0, limit: int = 0, *more: str, folder: Path = mirrored) -> Server:
        server = Server(folder, tmp_path / f"server-{len(started)}.log", str(speed), str(limit), *more)
        started.append(server)
        monkeypatch.setenv("OPENREALM_MIRROR", server.address)
        return server

    yield start
    for server in started:
        server.process.kill()
        server.process.wait()


@pytest.fixture
def data(mirrored: Path) -> bytes:
    return (mirrored / "testwiki" / "20260101" / DUMP.file_name).read_bytes()


def test_a_dump_is_fetched_once_and_verified(serve: Serve, tmp_path: Path, data: bytes) -> None:
    server = serve()
    path = DUMP.fetch(tmp_path / "kept")
    assert path == tmp_path / "kept" / "testwiki-20260101" / DUMP.file_name
    assert path.read_bytes() == data
    assert DUMP.fetch(tmp_path / "kept") == path
    assert server.requests() == [(0, len(data))]
    assert not list(path.parent.glob("*.part"))


FETCH = "import sys; from openrealm.corpus.sources.wikipedia import Dump; from pathlib import Path; "
FETCH += "Dump('testwiki', '20260101').fetch(Path(sys.argv[1]))"


def killed_in_the_middle(folder: Path) -> Path:
    """The partial file of a download that was killed when a third had arrived."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    child = subprocess.Popen([sys.executable, "-c", FETCH, str(folder)], env=os.environ | {"PYTHONPATH": path})
    part = folder / "testwiki-20260101" / f"{DUMP.file_name}.part"
    while not (part.exists() and part.stat().st_size > 400_000):
        assert child.poll() is None
        time.sleep(0.01)
    with pytest.raises(Busy, match=rf"written by process {child.pid}"):
        DUMP.fetch(folder)
    child.send_signal(signal.SIGKILL)
    child.wait()
    return part


def test_a_download_that_was_killed_goes_on_where_it_ended(serve: Serve, tmp_path: Path, data: bytes) -> None:
    serve(speed=500_000)
    part = killed_in_the_middle(tmp_path / "kept")
    there = part.stat().st_size
    assert 400_000 < there < len(data)
    assert not part.with_suffix("").exists()
    server = serve()
    assert DUMP.fetch(tmp_path / "kept").read_bytes() == data
    assert server.requests() == [(there, len(data) - there)]


def test_a_line_that_breaks_off_again_and_again_is_taken_up_again(serve: Serve, tmp_path: Path, data: bytes) -> None:
    server = serve(0, 200_000)
    assert DUMP.fetch(tmp_path / "kept", pause_seconds=0).read_bytes() == data
    starts = [start for start, _ in server.requests()]
    assert len(starts) >= 6
    assert starts == sorted(set(starts))


def test_a_server_without_ranges_sends_it_all_again(serve: Serve, tmp_path: Path, data: bytes) -> None:
    part = tmp_path / "kept" / "testwiki-20260101" / f"{DUMP.file_name}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(data[:1000])
    server = serve(0, 0, "no-ranges")
    assert DUMP.fetch(tmp_path / "kept").read_bytes() == data
    assert server.requests() == [(0, len(data))]


@pytest.mark.parametrize("there", ["all of it", "more than it"])
def test_what_is_there_already(serve: Serve, tmp_path: Path, data: bytes, there: str) -> None:
    part = tmp_path / "kept" / "testwiki-20260101" / f"{DUMP.file_name}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(data if there == "all of it" else data + b"x")
    server = serve()
    assert DUMP.fetch(tmp_path / "kept", pause_seconds=0).read_bytes() == data
    assert server.requests() == ([] if there == "all of it" else [(0, len(data))])


def test_a_download_with_another_check_sum_is_thrown_away(serve: Serve, tmp_path: Path, data: bytes) -> None:
    part = tmp_path / "kept" / "testwiki-20260101" / f"{DUMP.file_name}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" + data[1:500_000])
    serve()
    with pytest.raises(
        BadInput,
        match=rf"SHA-1 [0-9a-f]{{40}}, but .* {hashlib.sha1(data).hexdigest()}; the file was removed",
    ):
        DUMP.fetch(tmp_path / "kept")
    assert DUMP.fetch(tmp_path / "kept").read_bytes() == data


def test_without_a_check_sum_it_says_so(
    serve: Serve, tmp_path: Path, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    below = tmp_path / "mirror" / "testwiki" / "20260101"
    below.mkdir(parents=True)
    (below / DUMP.file_name).write_bytes(data)
    serve(folder=tmp_path / "mirror")
    assert DUMP.fetch(tmp_path / "kept").read_bytes() == data
    assert f"lists no checksum for {DUMP.file_name}, so the download will not be verified." in capsys.readouterr().err


def test_a_dump_that_there_is_not_and_a_mirror_that_there_is_not(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    with pytest.raises(
        BadInput, match=rf"does not exist; choose one of the dates listed at {server.address}/testwiki/\."
    ):
        Dump("testwiki", "20250101").fetch(tmp_path / "kept")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OPENREALM_MIRROR", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(
            BadInput, match=r"could not be downloaded \(.*refused.*\); .* by other means and give its path instead"
        ):
            DUMP.fetch(tmp_path / "kept", pause_seconds=0)


@pytest.mark.parametrize("name", [":simplewiki", ":simplewiki:today", ":../x:20260101", ":simplewiki:20260101x"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="not have the form wikipedia:WIKI:DATE, such as wikipedia:simplewiki:20260101"):
        open_source(f"wikipedia{name}")
    with pytest.raises(BadConfig, match="needs an argument; write wikipedia:WIKI:DATE"):
        open_source("wikipedia:")


def test_the_cache_is_where_the_user_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENREALM_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/openrealm/dumps")
    monkeypatch.setenv("OPENREALM_CACHE", "/y")
    assert cache_folder() == Path("/y/dumps")


def test_a_wiki_by_name_is_fetched_and_read(
    serve: Serve, tmp_path: Path, multistream: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = tmp_path / "mirror" / "testwiki" / "20260101"
    below.mkdir(parents=True)
    (below / DUMP.file_name).write_bytes(multistream)
    sums = f"{hashlib.sha1(multistream).hexdigest()}  {DUMP.file_name}\n"
    (below / "testwiki-20260101-sha1sums.txt").write_text(sums)
    serve(folder=tmp_path / "mirror")
    monkeypatch.setenv("OPENREALM_CACHE", str(tmp_path / "cache"))
    source = open_source("wikipedia:testwiki:20260101", num_workers=2)
    assert len(list(source.articles())) == 300
    description = source.description
    assert description["kind"] == "wikipedia"
    assert (description["wiki"], description["date"], description["skipped"]) == ("testwiki", "20260101", {})
    assert bz2.decompress(multistream).count(b"<page>") == 300
