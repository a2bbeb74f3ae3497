from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from openrealm.corpus.box import Box

WORKER = "openrealm.corpus.sources.page_worker"
SLOW = b"<page><title>Slow</title><revision><text>" + b"A word. " * 1_000_000 + b"</text></revision></page>"


def page(title: str) -> bytes:
    return f"<page><title>{title}</title><revision><text>{title} is a town.</text></revision></page>".encode()


@pytest.fixture
def box() -> Iterator[Box]:
    made = Box(WORKER, 30.0, 1 << 30)
    yield made
    made.close()


class Interrupted(Exception):
    """What a signal raises in the middle of a question."""


def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_next(box: Box) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted

    assert box.ask(page("Lima"))["title"] == "Lima"
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(Interrupted):
            box.ask(SLOW)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert box.ask(page("Cusco"))["title"] == "Cusco"


def test_threads_that_share_a_box_get_their_own_answers(box: Box) -> None:
    found: dict[str, str] = {}

    def ask(title: str) -> None:
        found[title] = box.ask(page(title))["title"]

    threads = [threading.Thread(target=ask, args=(f"Town {n}",)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {f"Town {n}": f"Town {n}" for n in range(20)}


def test_a_closed_box_starts_again(box: Box) -> None:
    assert [box.ask(page("Lima")), box.close()] == [box.ask(page("Lima")), None]


@pytest.mark.parametrize(("kilobytes", "printed"), [(600_000, "Lima"), (60_000, "no memory")])
def test_a_lower_limit_of_the_shell_is_kept(kilobytes: int, printed: str) -> None:
    program = (
        "import resource\n"
        "from openrealm.corpus.box import Box\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({kilobytes << 10}, {kilobytes << 10}))\n"
        "try:\n"
        f"    print(Box({WORKER!r}, 30, 1 << 40).ask({page('Lima')!r})['title'])\n"
        "except MemoryError:\n"
        "    print('no memory')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == printed, done.stderr
