"""Opening a corpus of a million passages in a new process, and reading random passages, against its Parquet files.

The corpus is synthetic, with passages of realistic length, so that it is quick to write. The peer reads the same rows
from the corpus's memory-mapped Parquet files, one row group per row.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common import arguments, duration, report, require_same

_TOKENS = 128
_PASSAGES_PER_TABLE = 20_480
_SETTINGS = {"passages": "tokens", "max_passage_tokens": _TOKENS}
_WORDS = "the river runs from the hills to the sea past a city that was founded on it long ago".split() * 4  # noqa: SIM905


def main() -> None:
    given = arguments(__doc__.splitlines()[0], passages=(1_000_000, 100_000), reads=(20_000, 5_000))
    with tempfile.TemporaryDirectory(prefix="openrealm-bench-") as name:
        folder = Path(name) / "corpus"
        write(folder, given.passages)
        found = []
        for _ in range(2 if given.quick else max(2, given.rounds)):
            command = [sys.executable, __file__, json.dumps({"folder": str(folder), "reads": given.reads})]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
    of = {key: [row[key] for row in found] for key in found[0]}
    held = f"{statistics.median(of['resident_mib']):.0f} MiB resident after opening, of which "
    held += f"{statistics.median(of['private_mib']):.0f} private; {statistics.median(of['imported_mib']):.0f} before"
    size = f"{given.passages:,} passages"
    parquet = "pyarrow, a row of a memory-mapped Parquet file"
    report(
        duration(
            f"opening a corpus of {size}", of["open"], "pyarrow, opening its Parquet files", of["peer_open"], held
        ),
        duration(f"a random passage of {size}: text, title, id verified", of["passage"], parquet, of["peer_row"]),
        duration(f"token ids of a random passage of {size}", of["tokens"], parquet, of["peer_row"]),
    )


def write(folder: Path, num_passages: int) -> None:
    """Publish a corpus of synthetic passages in the format of docs/formats.md."""
    import numpy as np

    from factbook import tokenizer
    from openrealm import files
    from openrealm.corpus.inverted import Inverter
    from openrealm.corpus.layout import ARTICLE_ROWS, FORMAT, PASSAGE_NUMBERS, PASSAGE_ROWS, VALIDITY
    from openrealm.corpus.ragged import RaggedWriter
    from openrealm.corpus.shards import count_words, write_table
    from openrealm.recipes.small import small_encoder

    known = tokenizer(small_encoder())
    manifest: dict[str, Any] = {
        "kind": "corpus",
        "format": FORMAT,
        "settings": dict(_SETTINGS),
        "source": {"kind": "made up"},
    }
    manifest |= {"corpus_digest": "", "tokenizer_digest": known.digest, "token_type": "u2"}
    manifest |= {"num_passages": num_passages, "num_articles": num_passages, "num_repeated_passages": 0}
    manifest |= {"num_tokens": _TOKENS * num_passages, "num_spans": {}}
    with files.new_folder(folder, manifest) as temporary, ExitStack() as stack:
        known.save(temporary)
        columns = PASSAGE_ROWS | ARTICLE_ROWS | VALIDITY
        rows = {
            name: stack.enter_context(RaggedWriter(temporary, name, "u2" if dtype == "token" else dtype))
            for name, (dtype, _) in columns.items()
        }
        numbers = {name: stack.enter_context((temporary / f"{name}.bin").open("wb")) for name in PASSAGE_NUMBERS}
        num_tables = -(-num_passages // _PASSAGES_PER_TABLE)
        scratch, groups = folder.with_name("spill"), np.arange(num_passages)
        inverter = stack.enter_context(Inverter(temporary, scratch, groups, known.vocab_size, num_tables))
        for first in range(0, num_passages, _PASSAGES_PER_TABLE):
            made = made_up(first, min(_PASSAGES_PER_TABLE, num_passages - first))
            for name, writer in rows.items():
                writer.extend(made[name], made[f"{name}.ends"])
            for name, file in numbers.items():
                file.write(made[name].tobytes())
            own = made | {"articles": made["articles"] - first}
            write_table(temporary / f"passages-{first // _PASSAGES_PER_TABLE:05}.parquet", own)
            inverter.extend(made | count_words(own))
        inverter.finish()


def made_up(first: int, size: int) -> dict[str, Any]:
    """Columns of `size` passages, each a separate article, numbered from `first`."""
    import numpy as np

    from openrealm.corpus.blocks import passage_id
    from openrealm.corpus.ragged import texts_end_to_end

    titles = [f"River {first + i}" for i in range(size)]
    texts = [" ".join([str(first + i), *_WORDS]) for i in range(size)]
    made: dict[str, Any] = {}
    for name, strings in (
        ("text", texts),
        ("article_titles", titles),
        ("article_ids", titles),
        ("article_texts", texts),
    ):
        made[name], made[f"{name}.ends"] = texts_end_to_end(strings)
    places = np.arange(_TOKENS, dtype="<u4")
    one_row = {
        "body": places.astype("<u2"),
        "title": places[:4].astype("<u2"),
        "offsets": np.stack([3 * places, 3 * places + 2], axis=1),
        "sentences": np.array([[0, 64], [64, 128]], "<u4"),
        "spans": np.array([[2, 4, 0], [80, 81, 1]], "<u4"),
    }
    for name, row in one_row.items():
        made[name] = np.concatenate([row] * size)
        made[f"{name}.ends"] = np.arange(1, size + 1, dtype="<u8") * len(row)
    for name, width in (("lines", 4), ("mentions", 2), ("article_validity", 2), ("validity", 2)):
        made[name], made[f"{name}.ends"] = np.zeros((0, width), "<u4"), np.zeros(size, "<u8")
    ids = b"".join(bytes.fromhex(passage_id(title, text)) for title, text in zip(titles, texts, strict=True))
    index = np.arange(first, first + size, dtype="<u4")
    bounds = np.array([(0, len(text)) for text in texts], "<u4")
    return made | {
        "ids": np.frombuffer(ids, "u1").reshape(-1, 16),
        "bounds": bounds,
        "articles": index,
        "groups": index,
    }


def measure(order: dict[str, Any]) -> dict[str, float]:
    """In a new process: seconds to open the corpus, resident memory, and seconds per read."""
    import pyarrow.parquet as pq

    from openrealm.corpus.corpus import Corpus
    from openrealm.corpus.shards import ROWS_PER_GROUP

    folder = Path(order["folder"])
    found = {"imported_mib": memory_mib("VmRSS")}
    started = time.perf_counter()
    corpus = Corpus.open(folder)
    found["open"] = time.perf_counter() - started
    found |= {"resident_mib": memory_mib("VmRSS"), "private_mib": memory_mib("RssAnon")}
    started = time.perf_counter()
    tables = [pq.ParquetFile(path, memory_map=True) for path in sorted(folder.glob("*.parquet"))]
    found["peer_open"] = time.perf_counter() - started
    chosen = random.Random(0).choices(range(len(corpus)), k=order["reads"])

    def row(i: int) -> dict[str, Any]:
        table, place = divmod(i, _PASSAGES_PER_TABLE)
        group, place = divmod(place, ROWS_PER_GROUP)
        read: dict[str, Any] = tables[table].read_row_group(group).slice(place, 1).to_pylist()[0]
        return {name: value for name, value in read.items() if name != "place"}

    require_same("passages", all(row(i) == asdict(corpus.passage(i)) for i in chosen[:20]))
    found["passage"] = seconds_each(corpus.passage, chosen)
    found["tokens"] = seconds_each(corpus.body_tokens, chosen)
    found["peer_row"] = seconds_each(row, chosen[: max(20, len(chosen) // 100)])
    return found


def seconds_each(read: Callable[[int], object], chosen: list[int]) -> float:
    """Mean seconds per read."""
    started = time.perf_counter()
    for i in chosen:
        read(i)
    return (time.perf_counter() - started) / len(chosen)


def memory_mib(name: str) -> float:
    """One of the kernel's memory counters for this process."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].startswith("{"):
        print(json.dumps(measure(json.loads(sys.argv[1]))))
    else:
        main()
