"""Seconds to build a corpus with several workers against one, and tokens per second against the bare `tokenizers`.

`--source ../shared/data/corpora/simplewiki-2021.jsonl.xz --articles 0` builds all of Simple Wikipedia. Every build runs
in a separate process, to measure its memory with that of its workers; all builds must write identical bytes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from common import arguments, duration, in_turn, rate, report, require_same
from openrealm.types import Article

_TEXTS_AT_ONCE = 256


def main() -> None:
    sizes = {"articles": (0, 6_000), "workers": (2, 2), "shard": (0, 100_000)}
    given = arguments(__doc__.splitlines()[0], source=("factbook", "factbook"), **sizes)
    with tempfile.TemporaryDirectory(prefix="openrealm-bench-") as name:
        folder = Path(name)
        one_core = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
        memory: dict[int, float] = {1: 0.0, given.workers: 0.0}

        def build(num_workers: int) -> None:
            order = {name: getattr(given, name) for name in ("source", "articles", "shard")}
            order |= {"workers": num_workers, "folder": str(folder / str(num_workers))}
            command = [sys.executable, __file__, json.dumps(order)]
            memory[num_workers] = max(memory[num_workers], peak_gib(subprocess.Popen(command, env=one_core)))

        seconds = in_turn(
            {
                "many": lambda: build(given.workers),
                "one": lambda: build(1),
                "bare": lambda: encode_only(given.source, given.articles, folder / "1"),
            },
            num_rounds=given.rounds,
            max_seconds=20 if given.quick else 1_200,
            warm_up=False,
        )
        many, one = (contents(folder / str(num)) for num in (given.workers, 1))
        require_same("files", many == one)
        manifest = json.loads((folder / "1" / "manifest.json").read_text())
    size = f"{manifest['num_articles']:,} articles of {Path(given.source).name}, {manifest['num_passages']:,} passages"
    held = ", ".join(f"{gib:.2f} GiB with {num}" for num, gib in memory.items())
    report(
        duration(
            f"building a corpus of {size}, {given.workers} workers",
            seconds["many"],
            "one process",
            seconds["one"],
            f"identical bytes; peak memory (PSS of all processes): {held}",
        ),
        rate(
            f"building a corpus of {size}, {given.workers} workers",
            "tokens/s",
            manifest["num_tokens"],
            seconds["many"],
            f"tokenizers: reading, encode_batch, extracting ids and offsets, {given.threads} threads",
            seconds["bare"],
        ),
    )


def chosen(source: str, num_articles: int) -> Iterator[Article]:
    """The first articles of a source; 0 means all."""
    from openrealm.corpus.sources import open_source

    return islice(open_source(source).articles(), num_articles or None)


def build_here(order: dict[str, Any]) -> None:
    """One build, in this process and its workers."""
    from factbook import tokenizer
    from openrealm.corpus import builder
    from openrealm.recipes.small import small_encoder

    config = small_encoder()
    if order["shard"]:  # so that even a small source has enough shards to distribute
        builder._SHARD_CHARACTERS = order["shard"]
    builder.build_corpus(
        chosen(order["source"], order["articles"]),
        Path(order["folder"]),
        tokenizer(config),
        max_passage_tokens=288,
        tagger="rules",
        source={"name": Path(order["source"]).name},
        num_workers=order["workers"],
    )


def encode_only(source: str, num_articles: int, folder: Path) -> None:
    """The peer: read the same articles, encode their texts, and extract ids and offsets as a store needs them."""
    from tokenizers import Tokenizer

    bare = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = (article.text for article in chosen(source, num_articles))
    while batch := list(islice(texts, _TEXTS_AT_ONCE)):
        for row in bare.encode_batch(batch, add_special_tokens=False):
            _ = row.ids, row.offsets


def peak_gib(process: subprocess.Popen[bytes]) -> float:
    """Wait for a process; returns its peak memory including its children, counting shared pages once."""
    peak, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.1):
            peak = max(peak, sum(pss_bytes(number) for number in family(process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    ended.set()
    watcher.join()
    if code:
        raise SystemExit(f"The build failed with exit code {code}.")
    return peak / 2**30


def family(process: int) -> list[int]:
    """A process and its children."""
    try:
        lists = [path.read_text() for path in Path(f"/proc/{process}/task").glob("*/children")]
    except OSError:
        return []
    return [process, *(int(child) for found in lists for child in found.split())]


def pss_bytes(process: int) -> int:
    """Proportional set size; 0 if the process has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def contents(folder: Path) -> dict[str, str]:
    """The digest of every file of a corpus, including its manifest."""
    from openrealm.files import sha256_file

    return {path.name: sha256_file(path) for path in folder.iterdir()}


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].startswith("{"):
        build_here(json.loads(sys.argv[1]))
    else:
        main()
