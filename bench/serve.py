"""`openrealm serve` under load: throughput against asking one after another, and new versions under 512 clients.

Every text of an edition of the documents names the edition, so that an answer which mixed two of them would show.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from common import Figure, arguments, in_turn, not_measured, once, rate, report

_NOUNS = (
    "archive bakery bridge brewery canal castle chapel dairy ferry forge garden granary harbour inn library market "
)
_NOUNS += "mill museum observatory orchard pharmacy post quarry school smithy station theatre tower weir workshop"
_PLACES = "north south east west upper lower old new".split()  # noqa: SIM905
_QUESTIONS = ("Where is the {}?", "What stands beside the {}?", "When does the {} open?", "Who keeps the {}?")
_HEAD = "POST /v1/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"


def write_edition(folder: Path, number: int, num_documents: int) -> None:
    """Documents on invented places; the texts of each edition name its number."""
    nouns = _NOUNS.split()
    for n, (place, noun, other) in zip(range(num_documents), itertools.product(_PLACES, nouns, nouns), strict=False):
        text = (
            f"# The {place} {noun}\n\nEdition {number}: the {place} {noun} stands beside the {other} of house {n}. "
            f"It opens at {6 + n % 6} o'clock, and keeper {n * 37 % 997} looks after it.\n"
        )
        (folder / f"{n:05d}.md").write_text(text)


def questions(start: int) -> itertools.chain[str]:
    """Endless questions, none of which stands there twice."""
    nouns = [f"{place} {noun}" for place in _PLACES for noun in _NOUNS.split()]
    return itertools.chain.from_iterable(
        (f"{_QUESTIONS[n % 4].format(nouns[n % len(nouns)])} ({n})",) for n in itertools.count(start)
    )


@dataclass
class Load:
    """What clients got: seconds per answer, statuses, and the editions that each version's answers named."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    editions: dict[str, set[str]] = field(default_factory=dict)
    num_mixed: int = 0
    num_dropped: int = 0

    def note(self, status: int, body: bytes, seconds: float) -> None:
        self.statuses[status] += 1
        if status != 200:
            return
        self.seconds.append(seconds)
        for answer in json.loads(body)["answers"]:
            found = set(re.findall(r"Edition (\d+)", json.dumps(answer)))
            self.num_mixed += len(found) > 1
            self.editions.setdefault(answer["version"]["id"], set()).update(found)

    @property
    def num_mixed_versions(self) -> int:
        return self.num_mixed + sum(len(found) > 1 for found in self.editions.values())


async def client(port: int, asked: itertools.chain[str], load: Load, ends: float) -> None:
    """One client that asks one question after another over one connection, until `ends`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while time.perf_counter() < ends:
            body = json.dumps({"question": next(asked), "threshold": 0}).encode()
            started = time.perf_counter()
            writer.write(_HEAD.format(len(body)).encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", answer, re.IGNORECASE)[1])  # type: ignore[index]
            load.note(int(answer.split()[1]), await reader.readexactly(length), time.perf_counter() - started)
    except (OSError, asyncio.IncompleteReadError):
        load.num_dropped += 1
    finally:
        writer.close()


async def clients(port: int, number: int, seconds: float, start: int) -> Load:
    """`number` clients at once, for so many seconds."""
    load, asked = Load(), questions(start)
    ends = time.perf_counter() + seconds
    await asyncio.gather(*(client(port, asked, load, ends) for _ in range(number)))
    return load


class Server:
    """`openrealm serve --corpus` in a process of its own."""

    def __init__(self, docs: Path, work: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "openrealm.cli",
            "serve",
            "--corpus",
            str(docs),
            "--port",
            "0",
            "--poll",
            "0.5",
        ]
        self._process = subprocess.Popen(command, cwd=work, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
                self.port = int(found[1])
                break
        else:
            raise SystemExit("The server did not start.")
        os.set_blocking(self._process.stderr.fileno(), False)

    def stop(self) -> int:
        """Ask it to stop; returns its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(90)


async def swapped(port: int, docs: Path, number: int, seconds: float, num_swaps: int, num_documents: int) -> Load:
    """`clients`, while the documents are rewritten `num_swaps` times."""

    async def rewrite() -> None:
        for edition in range(2, 2 + num_swaps):
            await asyncio.sleep(seconds / (num_swaps + 1))
            await asyncio.to_thread(write_edition, docs, edition, num_documents)

    load, _ = await asyncio.gather(clients(port, number, seconds, 1_000_000), rewrite())
    return load


def main() -> None:
    options = arguments(
        __doc__, seconds=(60.0, 8.0), clients=(512, 64), swaps=(10, 2), documents=(2_000, 60), slice=(10.0, 3.0)
    )
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as temporary:
        docs = Path(temporary, "docs")
        docs.mkdir()
        write_edition(docs, 1, options.documents)
        server = Server(docs, Path(temporary))
        counts: dict[int, list[int]] = {1: [], options.clients: []}
        start = itertools.count(1, 100_000)

        def ask(number: int) -> None:
            load = asyncio.run(clients(server.port, number, options.slice, next(start)))
            counts[number].append(sum(load.statuses.values()))

        sides = {str(number): lambda number=number: ask(number) for number in counts}
        seconds = in_turn(sides, num_rounds=2 if options.quick else 3)  # type: ignore[arg-type]
        per_second = {n: [c / s for c, s in zip(counts[n][1:], seconds[str(n)], strict=True)] for n in counts}
        figures.append(
            rate(
                f"questions answered per second, {options.clients} clients, no question twice",
                "questions/s",
                1.0,
                [1 / value for value in per_second[options.clients]],
                "one client that asks one after another",
                [1 / value for value in per_second[1]],
                f"{options.documents:,} documents",
            )
        )
        load = asyncio.run(
            swapped(server.port, docs, options.clients, options.seconds, options.swaps, options.documents)
        )
        code = server.stop()
    if not load.seconds:
        figures.append(not_measured("latency while versions change", "seconds", "none", f"statuses {load.statuses}"))
    else:
        ordered = sorted(load.seconds)
        median, p99 = statistics.median(ordered), ordered[int(0.99 * (len(ordered) - 1))]
        note = (
            f"{len(ordered):,} answers, {options.clients} clients, {options.seconds:g} s, {options.swaps} rewrites, "
            f"{len(load.editions)} versions, {load.num_mixed_versions} mixed, {load.num_dropped} dropped connections, "
            f"statuses {dict(load.statuses)}, exit code {code}"
        )
        figures.append(
            once(
                "p99 latency while versions change",
                "seconds",
                p99,
                "median of the same run",
                median,
                note,
                more_is_better=False,
            )
        )
    report(*figures)
    if load.num_mixed_versions or load.num_dropped or code or any(status >= 500 for status in load.statuses):
        raise SystemExit("An answer mixed versions, a request was dropped, or the server failed.")


if __name__ == "__main__":
    main()
