"""An index that does not fit into memory: latency, recall and resident memory of a mapped index in 8 bits under load.

Recall is measured on real vectors: the beginnings of articles of Simple Wikipedia and questions of Natural Questions,
embedded by openrealm-mini for `--embed-seconds`. The large index repeats these vectors with noise: its times and memory
are real, and its recall, which is given too, is that of synthetic vectors. Questions, of which the vectors are real,
arrive at random moments, at `--rates` per second; all that wait are searched as one batch of at most 64.
"""

from __future__ import annotations

import argparse
import json
import lzma
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import Figure, arguments, commit, hardware, report

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
_NUM_WORDS, _AT_ONCE, _BATCH, _K = 40, 512, 64, 20
_NOISE = 0.03  # per dimension: the cosine of a vector and its noisy copy is about 0.95


def main() -> None:
    given = arguments(
        __doc__.splitlines()[0],
        passages=(2_000_000, 100_000),
        embed_seconds=(120, 15),
        seconds=(15, 3),
        rates=("1,20,200", "1,20,200"),
        search_limit=(180, 30),
    )
    import torch

    torch.set_num_threads(given.threads)
    vector_ND, query_BD = embedded(given.embed_seconds)
    figures = searchers(vector_ND, query_BD)
    if given.passages:
        figures += under_load(vector_ND, query_BD, given)
    report(*figures)


def searchers(vector_ND: Any, query_BD: Any) -> list[Figure]:
    """What `openrealm index bench` measures, on real vectors."""
    from openrealm.index.bench import bench
    from openrealm.index.index import Binding, Index

    what = f"{len(vector_ND):,} real passages, {len(query_BD):,} questions"
    figures = []
    with tempfile.TemporaryDirectory(prefix="openrealm-") as folder:
        version = Index(vector_ND, Binding("", "", "")).save(folder)
        for way in bench(version, query_BD):
            shares = [figure(f"{way.name}, {what}: recall@{k}", 100 * share, "%") for k, share in way.recall.items()]
            speed = figure(f"{way.name}, {what}: in batches of 64", way.queries_per_second, "queries/s")
            alone = figure(f"{way.name}, {what}: a query alone", way.milliseconds, "ms")
            figures += [*shares, speed, alone]
    return figures


def under_load(vector_ND: Any, query_BD: Any, given: argparse.Namespace) -> list[Figure]:
    """Time and memory of a large index in a process of its own that is asked at several rates."""
    from openrealm.index.index import Binding, Index

    with tempfile.TemporaryDirectory(prefix="openrealm-") as folder:
        index = Index(repeated(vector_ND, given.passages), Binding("", "", ""), storage="int8")
        started = time.perf_counter()
        version = index.save(folder)
        print(f"{given.passages:,} vectors written in {time.perf_counter() - started:.0f} s", file=sys.stderr)
        del index
        queries = Path(folder) / "queries.json"
        queries.write_text(json.dumps(query_BD[:200].tolist()))
        order = [str(version), str(queries), given.rates, str(given.seconds), str(given.search_limit)]
        done = subprocess.run(
            [sys.executable, __file__, "--worker", *order, str(given.threads)], capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        size = sum(path.stat().st_size for path in version.iterdir())
    measured = json.loads(done.stdout.splitlines()[-1])
    what = f"int8 index of {given.passages:,} x 128, mapped"
    figures = [
        figure(f"{what}: size on disk", size / 1e9, "GB"),
        figure(f"{what}: time to open, unverified", measured["open_seconds"], "seconds"),
    ]
    for load in measured["loads"]:
        asked = f"{what}: asked {load['rate']:g} times a second"
        note = "" if load["keeps_up"] else f"does not keep up: answers {load['answered_per_second']:.1f} per second"
        for name, unit in (("p50", "ms"), ("p99", "ms"), ("resident", "GB"), ("resident, not of files", "GB")):
            figures.append(figure(f"{asked}, {name}", load[name], unit, note))
    note = f"{measured['num_recall']} questions; the vectors are synthetic"
    return figures + [
        figure(f"{what}: recall@{k} against exact search of fp16", 100 * share, "%", note)
        for k, share in measured["recall"].items()
    ]


def figure(name: str, value: float, unit: str, note: str = "") -> Figure:
    """A figure of a single run, without a peer."""
    return Figure(name, value, unit, "none", None, None, None, 1, hardware(), commit(), note)


def embedded(seconds: float) -> tuple[Any, Any]:
    """Vectors of as many passages as can be embedded in this time, N x D, and of questions, B x D."""
    import torch

    from openrealm import Realm

    model = Realm.from_pretrained("openrealm-mini")
    asked = [json.loads(line)["question"] for line in (DATA / "qa" / "nq-open.dev.jsonl").open(encoding="utf-8")]
    query_BD = torch.from_numpy(model.encode_query(asked[:1000]))
    parts, waiting, started = [], [], time.monotonic()
    with lzma.open(DATA / "corpora" / "simplewiki-2021.jsonl.xz", "rt", encoding="utf-8") as lines:
        for line in lines:
            article = json.loads(line)
            waiting.append((article["title"], " ".join(article["text"].split()[:_NUM_WORDS])))
            if len(waiting) == _AT_ONCE:
                parts.append(torch.from_numpy(model.encode_passage(waiting)))
                waiting = []
                if time.monotonic() - started > seconds:
                    break
    return torch.cat(parts), query_BD


def repeated(vector_ND: Any, num: int) -> Any:
    """Unit vectors in float16, num x D: those of `vector_ND` in turn, with noise."""
    import torch

    generator = torch.Generator().manual_seed(0)
    made = torch.empty(num, vector_ND.shape[1], dtype=torch.float16)
    for first in range(0, num, len(vector_ND)):
        part = made[first : first + len(vector_ND)]
        noise = _NOISE * torch.randn(part.shape, generator=generator)
        part.copy_(torch.nn.functional.normalize(vector_ND[: len(part)] + noise, dim=1))
    return made


def work(version: str, queries: str, rates: str, seconds: str, limit: str, threads: str) -> None:
    """Serve an index: the part in a process of its own, so that its memory is that of a server."""
    import numpy as np
    import torch

    from openrealm.index.exact import ExactSearcher
    from openrealm.index.index import Index
    from openrealm.index.recall import recalls

    torch.set_num_threads(int(threads))
    query_BD = torch.tensor(json.loads(Path(queries).read_text()))
    started = time.perf_counter()
    index = Index.open(version, verify=False)
    open_seconds = time.perf_counter() - started
    index.search(query_BD[0], _K)
    end = time.perf_counter() + float(limit)
    loads = []
    for rate in map(float, rates.split(",")):
        rng = np.random.default_rng(0)
        arrivals = np.cumsum(rng.exponential(1 / rate, max(3, round(rate * float(seconds)))))
        waits: list[float] = []
        begun = time.perf_counter()
        while len(waits) < len(arrivals) and time.perf_counter() < end:
            now = time.perf_counter() - begun
            waiting = arrivals[len(waits) : len(waits) + _BATCH]
            num = int((waiting <= now).sum())
            if not num:
                time.sleep(max(0.0, waiting[0] - now))
                continue
            chosen = torch.arange(len(waits), len(waits) + num) % len(query_BD)
            index.search(query_BD[chosen], _K)
            waits += (time.perf_counter() - begun - waiting[:num]).tolist()
        spent = time.perf_counter() - begun
        if not waits:
            break
        # Behind by more than a second or two at the end, it would fall further behind.
        keeps_up = bool(len(waits) == len(arrivals) and spent < arrivals[-1] + 2)
        resident = _status()
        loads.append(
            {
                "rate": rate,
                "p50": 1000 * float(np.quantile(waits, 0.5)),
                "p99": 1000 * float(np.quantile(waits, 0.99)),
                "resident": resident["VmRSS"] / 1e9,
                "resident, not of files": resident["RssAnon"] / 1e9,
                "keeps_up": keeps_up,
                "answered_per_second": len(waits) / spent,
            }
        )
    recall, num_recall = {}, 50
    if time.perf_counter() < end:
        exact_BK = ExactSearcher(index.vector_ND).search(query_BD[:num_recall], _K)[1]
        recall = recalls(index.search(query_BD[:num_recall], _K).id_BK, exact_BK)
    found = {"open_seconds": open_seconds, "loads": loads, "recall": recall, "num_recall": num_recall}
    print(json.dumps(found))


def _status() -> dict[str, int]:
    """The kernel's counters of this process's memory, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")}


if __name__ == "__main__":
    work(*sys.argv[2:]) if sys.argv[1:2] == ["--worker"] else main()
