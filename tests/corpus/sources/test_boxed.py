from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openrealm.corpus.sources.boxed import PageBox, in_boxes
from openrealm.corpus.sources.namespaces import UNKNOWN, Wiki
from openrealm.errors import OpenRealmError
from openrealm.types import DEFAULT_LIMITS, Limits

SLOW = "[[a]] " * 500_000


@pytest.fixture
def box() -> Iterator[PageBox]:
    made = PageBox(Limits(max_page_seconds=0.5))
    yield made
    made.close()


@pytest.fixture
def good(make_page: Callable[..., str], prose: str) -> bytes:
    return make_page(1, "Lima", prose).encode()


def child_of(box: PageBox) -> int:
    assert box._child is not None
    return box._child.pid


def test_the_limits_are_those_that_are_promised() -> None:
    assert (DEFAULT_LIMITS.max_page_seconds, DEFAULT_LIMITS.max_page_memory_mb) == (5.0, 1024)


def test_a_child_runs_no_code_of_the_working_directory(
    good: bytes, box: PageBox, planted_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(planted_folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", *filter(None, [os.environ.get("PYTHONPATH")])]))
    assert box.parse(good, UNKNOWN)["title"] == "Lima"


def test_a_slow_page_ends_its_child_alone(box: PageBox, good: bytes, make_page: Callable[..., str]) -> None:
    first = box.parse(good, UNKNOWN)
    process = child_of(box)
    assert first["title"] == "Lima"
    assert box.parse(make_page(2, "Slow", SLOW).encode(), UNKNOWN) == {"poison": "time"}
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert box.parse(good, UNKNOWN) == first


def test_a_page_that_takes_more_than_the_gigabyte_ends_its_child_alone(
    make_page: Callable[..., str], good: bytes
) -> None:
    box = PageBox(DEFAULT_LIMITS)
    try:
        box.parse(good, UNKNOWN)
        process = child_of(box)
        assert box.parse(make_page(2, "Large", "word\n" * 13_000_000).encode(), UNKNOWN) == {"poison": "memory"}
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
        assert box.parse(good, UNKNOWN)["title"] == "Lima"
    finally:
        box.close()


def test_a_child_that_cannot_even_start_stops_the_run(good: bytes) -> None:
    with pytest.raises(OpenRealmError, match=r"exited before it was ready; run .*page_worker 5\.0 \d+ to see why"):
        PageBox(Limits(max_page_memory_mb=1 << 50)).parse(good, UNKNOWN)


def test_ctrl_c_is_left_to_the_parent(box: PageBox, good: bytes) -> None:
    first = box.parse(good, UNKNOWN)
    process = child_of(box)
    os.kill(process, signal.SIGINT)
    time.sleep(0.1)
    assert box.parse(good, UNKNOWN) == first
    assert child_of(box) == process


@pytest.mark.parametrize(("sign", "why"), [(signal.SIGSEGV, "crash"), (signal.SIGKILL, "memory")])
def test_a_child_that_dies_of_something_else(
    box: PageBox, good: bytes, make_page: Callable[..., str], sign: signal.Signals, why: str
) -> None:
    box.parse(good, UNKNOWN)
    os.kill(child_of(box), sign)
    time.sleep(0.1)
    assert box.parse(good, UNKNOWN) == {"poison": why}
    assert box.parse(good, UNKNOWN)["title"] == "Lima"


def test_the_wiki_is_known_to_a_child_started_afresh(box: PageBox, make_page: Callable[..., str], prose: str) -> None:
    page = make_page(1, "Lima", f"[[Obraz:a|mini|Bild]]{prose}").encode()
    wiki = Wiki("xx", {"Obraz": 6})
    expected = box.parse(page, wiki)
    assert "Bild" not in expected["text"]
    assert box.parse(make_page(2, "Slow", SLOW).encode(), wiki) == {"poison": "time"}
    assert box.parse(page, wiki) == expected
    assert "Bild" in box.parse(page, UNKNOWN)["text"]


def test_answers_come_in_order_from_any_number_of_workers(make_page: Callable[..., str], prose: str) -> None:
    pages = [(n, make_page(n, f"Town {n}", f"{n} " * (n * 37 % 50) + prose).encode(), UNKNOWN) for n in range(40)]
    pages[7] = (7, make_page(7, "Slow", SLOW).encode(), UNKNOWN)
    read: list[list[tuple[int, dict[str, Any]]]] = [
        list(in_boxes(pages, workers, Limits(max_page_seconds=0.5))) for workers in (1, 3)
    ]
    assert read[0] == read[1]
    assert [n for n, _ in read[0]] == list(range(40))
    assert read[0][7][1] == {"poison": "time"}
    assert read[0][8][1]["title"] == "Town 8"


def test_no_child_outlives_a_reader_that_stops(make_page: Callable[..., str], prose: str) -> None:
    before = set(os.listdir("/proc"))
    answers = in_boxes(((n, make_page(n, "T", prose).encode(), UNKNOWN) for n in range(100)), 2, DEFAULT_LIMITS)
    next(answers)
    answers.close()
    mine = [p for p in set(os.listdir("/proc")) - before if p.isdigit() and is_worker(p, os.getpid())]
    assert not mine


READ_FOR_EVER = """
import itertools
from openrealm.corpus.sources.namespaces import UNKNOWN
from openrealm.corpus.sources.boxed import in_boxes
from openrealm.types import DEFAULT_LIMITS
page = b"<page><title>T</title><revision><text>text</text></revision></page>"
for n, _ in in_boxes(((n, page, UNKNOWN) for n in itertools.count()), 2, DEFAULT_LIMITS):
    if n == 20:
        print("reading", flush=True)
"""


def test_no_child_outlives_a_parent_that_is_killed() -> None:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    environment = os.environ | {"PYTHONPATH": path}
    with subprocess.Popen([sys.executable, "-c", READ_FOR_EVER], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"reading\n"
        children = [p for p in os.listdir("/proc") if p.isdigit() and is_worker(p, parent.pid)]
        parent.kill()
    assert len(children) == 2
    for _ in range(1000):
        if not any(is_worker(child) for child in children):
            return
        time.sleep(0.02)
    pytest.fail("a child still runs")


def is_worker(process: str, parent: int | None = None) -> bool:
    """Whether a process reads pages, for this parent where one is given."""
    try:
        with open(f"/proc/{process}/cmdline", "rb") as handle, open(f"/proc/{process}/stat") as stat:
            parent_of_it = int(stat.read().rpartition(")")[2].split()[1])
            return b"page_worker" in handle.read() and parent in (None, parent_of_it)
    except OSError:
        return False
