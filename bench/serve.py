"""`openrealm serve` under load: throughput against asking one after another, and new versions under 512 clients.

Documents are short, so that this fits two cores: about 45 word pieces each. Every text of an edition of them names the
edition, so that an answer which mixes two editions shows.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from common import Figure, arguments, in_turn, not_measured, once, rate, report

_NOUNS = "archive bakery bridge canal castle chapel dairy ferry forge garden harbour inn library market mill".split()  # noqa: SIM905
_PLACES = ("north", "south", "east", "west", "upper", "lower", "inner", "outer")
_QUESTIONS = ("Where is the {}?", "What stands beside the {}?", "When does the {} open?", "Who keeps the {}?")
_HEAD = "POST /v1/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
_NUM_POPULAR = 1_000


def write_edition(folder: Path, number: int, num_documents: int) -> None:
    """Documents on invented places; the texts of each edition name its number."""
    chosen = itertools.islice(itertools.product(_PLACES, _NOUNS, _NOUNS), num_documents)
    for n, (place, noun, other) in enumerate(chosen):
        text = (
            f"# The {place} {noun}\n\nEdition {number}: the {place} {noun} stands beside the {other} of house {n}. "
            f"It opens at {6 + n % 6} o'clock, and keeper {n * 37 % 997} looks after it.\n"
        )
        (folder / f"{n:05d}.md").write_text(text)


def question(number: int) -> str:
    """A question about a place; no two numbers give the same."""
    noun = f"{_PLACES[number % len(_PLACES)]} {_NOUNS[number // len(_PLACES) % len(_NOUNS)]}"
    return f"{_QUESTIONS[number % len(_QUESTIONS)].format(noun)} ({number})"


def distinct(start: int) -> Iterator[str]:
    """Endless questions, none of them twice."""
    return map(question, itertools.count(start))


def popular(start: int) -> Iterator[str]:
    """Endless questions by Zipf's law, as people ask: the n-th most frequent of 1,000 has a share like 1 / n."""
    rng, asked = random.Random(start), range(start, start + _NUM_POPULAR)
    weights = list(itertools.accumulate(1 / n for n in range(1, _NUM_POPULAR + 1)))
    while True:
        yield from map(question, rng.choices(asked, cum_weights=weights, k=100))


@dataclass
class Load:
    """What clients got: seconds per answer, statuses, and the editions that the answers of each version named."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    editions: dict[str, set[str]] = field(default_factory=dict)
    num_dropped: int = 0

    def note(self, status: int, body: bytes, seconds: float) -> None:
        """Count a response."""
        self.statuses[status] += 1
        if status == 200:
            self.seconds.append(seconds)
            for answer in json.loads(body)["answers"]:
                found = re.findall(r"Edition (\d+)", json.dumps(answer))
                self.editions.setdefault(answer["version"]["id"], set()).update(found)

    @property
    def num_mixed(self) -> int:
        """Versions whose answers named more than one edition."""
        return sum(len(found) > 1 for found in self.editions.values())


async def client(port: int, asked: Iterator[str], load: Load, ends: float) -> None:
    """Ask one question after another over one connection, until `ends`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while time.perf_counter() < ends:
            body = json.dumps({"question": next(asked), "threshold": 0}).encode()
            started = time.perf_counter()
            writer.write(_HEAD.format(len(body)).encode() + body)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(re.findall(rb"content-length: (\d+)", head)[0])
            answer = await reader.readexactly(length)
            load.note(int(head.split()[1]), answer, time.perf_counter() - started)
    except (OSError, asyncio.IncompleteReadError):
        load.num_dropped += 1
    finally:
        writer.close()


async def clients(port: int, number: int, seconds: float, asked: Iterator[str]) -> Load:
    """`number` clients at once, for so many seconds."""
    load, ends = Load(), time.perf_counter() + seconds
    await asyncio.gather(*(client(port, asked, load, ends) for _ in range(number)))
    return load


async def swapped(port: int, number: int, seconds: float, docs: Path, num_swaps: int, num_documents: int) -> Load:
    """`clients`, while the documents are rewritten `num_swaps` times."""

    async def rewrite() -> None:
        for edition in range(2, 2 + num_swaps):
            await asyncio.sleep(seconds / (num_swaps + 1))
            await asyncio.to_thread(write_edition, docs, edition, num_documents)

    load, _ = await asyncio.gather(clients(port, number, seconds, distinct(10**6)), rewrite())
    return load


class Server:
    """`openrealm serve --corpus` in a process of its own."""

    def __init__(self, docs: Path, work: Path) -> None:
        command = [sys.executable, "-m", "openrealm.cli", "serve", "--corpus", str(docs), "--port", "0"]
        self.log = work / "log.txt"
        self._process = subprocess.Popen([*command, "--poll", "0.5"], cwd=work, stderr=self.log.open("w"))
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)/", self.log.read_text())):
            if self._process.poll() is not None:
                raise SystemExit(f"The server did not start: {self.log.read_text()}")
            time.sleep(0.2)
        self.port = int(found[1])

    def stop(self) -> int:
        """Ask it to stop; returns its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(120)


def throughput(server: Server, docs: Path, num_clients: int, seconds: float, num_rounds: int) -> list[Figure]:
    """Questions per second of many clients, against one client, and against one command per question."""
    start = itertools.count(0, 10**4)
    times: dict[str, list[float]] = {name: [] for name in ("one", "many", "popular", "command")}

    def over_http(name: str, number: int, asked: Iterator[str]) -> None:
        began = time.perf_counter()
        load = asyncio.run(clients(server.port, number, seconds, asked))
        times[name].append((time.perf_counter() - began) / max(1, len(load.seconds)))

    def by_command() -> None:
        began = time.perf_counter()
        command = [sys.executable, "-m", "openrealm.cli", "ask", "--corpus", str(docs), question(next(start))]
        subprocess.run(command, cwd=server.log.parent, check=True, capture_output=True)
        times["command"].append(time.perf_counter() - began)

    sides = {
        "one": lambda: over_http("one", 1, distinct(next(start))),
        "many": lambda: over_http("many", num_clients, distinct(next(start))),
        "popular": lambda: over_http("popular", num_clients, popular(next(start))),
        "command": by_command,
    }
    in_turn(sides, num_rounds=num_rounds, warm_up=False)
    one, command = "one client that asks one after another", "`openrealm ask`, one command per question"
    twice, zipf = f"{num_clients} clients, no question twice", f"{num_clients} clients, questions by Zipf's law"
    return [
        rate(twice, "questions/s", 1.0, times["many"], one, times["one"]),
        rate(zipf, "questions/s", 1.0, times["popular"], one, times["one"]),
        rate(twice, "questions/s", 1.0, times["many"], command, times["command"]),
    ]


def latency(load: Load, note: str) -> Figure:
    """The 99th percentile beside the median."""
    if not load.seconds:
        return not_measured("p99 of the time to answer while versions change", "seconds", "median", note)
    ordered = sorted(load.seconds)
    median, p99 = statistics.median(ordered), ordered[int(0.99 * (len(ordered) - 1))]
    name = "p99 of the time to answer while versions change"
    return once(name, "seconds", p99, "median of the same answers", median, note, more_is_better=False)


def main() -> None:
    given = arguments(
        __doc__.splitlines()[0],
        clients=(512, 64),
        seconds=(60.0, 8.0),
        swaps=(10, 1),
        documents=(100, 40),
        asking=(64, 16),
        slice=(10.0, 3.0),
    )
    with tempfile.TemporaryDirectory() as temporary:
        docs = Path(temporary, "docs")
        docs.mkdir()
        write_edition(docs, 1, given.documents)
        server = Server(docs, Path(temporary))
        num_rounds = 2 if given.quick else min(given.rounds, 3)
        figures = throughput(server, docs, given.asking, given.slice, num_rounds) if given.rounds else []
        load = asyncio.run(swapped(server.port, given.clients, given.seconds, docs, given.swaps, given.documents))
        code = server.stop()
        log = server.log.read_text()
    note = (
        f"{len(load.seconds):,} answers, {given.clients} clients, {given.seconds:g} s, {given.documents} documents "
        f"rewritten {given.swaps} times, {len(load.editions)} versions answered, {load.num_mixed} mixed, "
        f"{load.num_dropped} connections dropped, statuses {dict(load.statuses)}, exit code {code}"
    )
    report(*figures, latency(load, note))
    if load.num_mixed or load.num_dropped or code or load.statuses.keys() - {200, 429}:
        raise SystemExit(f"An answer mixed versions, a request was dropped, or the server failed: {log}")


if __name__ == "__main__":
    main()
