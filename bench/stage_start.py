"""Starting the stages on a corpus of 13 million passages: seconds until the first batch, and resident memory.

The corpus is synthetic: its lists, ends of rows, spans and sentences are made up with realistic sizes, and the columns
that no stage reads before its first step (texts, word pieces, offsets, entries of BM25's lists) are holes in files.
Every figure is from a new process. The peer is the limit that the stages are to keep.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import arguments, once, report
from corpus_open import memory_mib

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_TOKENS, _SENTENCES, _SPANS, _WORDS, _CHARACTERS = 64, 3, 6, 45, 280
_ARTICLE_PASSAGES = 2
_AT_ONCE = 1 << 20  # passages
_STAGES = ("open", "warm_start", "pretrain", "questions", "bm25", "index")


def main() -> None:
    given = arguments(__doc__.splitlines()[0], passages=(13_000_000, 1_000_000))
    with tempfile.TemporaryDirectory(prefix="openrealm-bench-") as name:
        folder = Path(name) / "corpus"
        write(folder, given.passages)
        found: dict[str, list[dict[str, float]]] = {stage: [] for stage in _STAGES}
        for _ in range(1 if given.quick else min(3, given.rounds)):
            for stage in _STAGES:
                command = [sys.executable, __file__, json.dumps({"folder": str(folder), "stage": stage})]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found[stage].append(json.loads(done.stdout.splitlines()[-1]))
    figures = []
    for stage, rows in found.items():
        name = f"{stage}, {given.passages:,} passages"
        for key, unit, limit in (("seconds", "seconds", 10.0), ("peak_mib", "MiB resident at most", 2048.0)):
            value = statistics.median(row[key] for row in rows)
            note = (
                f"{statistics.median(row['cpu_seconds'] for row in rows):.1f} seconds of CPU"
                if key == "seconds"
                else ""
            )
            figures.append(once(name, unit, value, "the limit", limit, note, more_is_better=False))
    report(*figures)


def start(stage: str, folder: Path) -> None:
    """What a stage does with the corpus before its first step, the first batch included."""
    import numpy as np

    from openrealm.corpus.corpus import Corpus
    from openrealm.recipes.small import small_encoder

    corpus = Corpus.open(folder)
    config = small_encoder(len(corpus))
    if stage == "warm_start":
        from openrealm.train.tasks.warm_start import WarmStart

        WarmStart(corpus, config=config).batch(0)
    elif stage == "pretrain":
        from openrealm.train.examples import pretraining_examples

        config = config.replace(masking=config.masking.replace(min_passages=2))
        pretraining_examples(config, corpus).batch(0, 16)
        corpus.piece_counts()
    elif stage == "questions":
        # As `cloze_questions`, which would then read the texts.
        np.random.default_rng(0).permutation(np.arange(len(corpus.span_entries(10)), dtype=np.uint32))
    elif stage == "bm25":
        from openrealm.index.bm25 import Bm25

        Bm25.build(corpus).search(["where is the library"], 20)
    elif stage == "index":
        from openrealm.model.embedder import chunks_of

        next(chunks_of(corpus.row_lengths(), corpus.max_row_tokens))


def measure(order: dict[str, Any]) -> dict[str, float]:
    """In a new process: seconds, and memory in MiB."""
    import torch  # noqa: F401  not counted, as every stage needs it

    started, cpu_before = time.perf_counter(), time.process_time()
    start(order["stage"], Path(order["folder"]))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_before
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_mib": memory_mib("VmHWM")}


def write(folder: Path, num_passages: int) -> None:
    """A corpus in the format of docs/formats.md, with holes."""
    import numpy as np

    from factbook import tokenizer
    from openrealm import files
    from openrealm.corpus.layout import FORMAT, column_files
    from openrealm.recipes.small import small_encoder

    known = tokenizer(small_encoder())
    folder.mkdir()
    known.save(folder)
    rng = np.random.default_rng(0)
    num_articles = num_passages // _ARTICLE_PASSAGES
    num_names, num_words = 2 * num_passages, max(1000, num_passages // 2)
    each = {
        "body": _TOKENS,
        "offsets": _TOKENS,
        "title": 3,
        "text": _CHARACTERS,
        "sentences": _SENTENCES,
        "spans": _SPANS,
    }
    for name, length in each.items():
        _ends(folder, name, num_passages, length)
    _ends(folder, "validity", num_passages, 0)
    for name, length in (
        ("article_ids", 10),
        ("article_titles", 10),
        ("article_texts", _ARTICLE_PASSAGES * _CHARACTERS),
    ):
        _ends(folder, name, num_articles, length)
        _hole(folder / f"{name}.bin", length * num_articles)
    for name in ("lines", "mentions", "article_validity"):
        _ends(folder, name, num_articles, 0)
    for name in ("lines", "mentions", "article_validity", "validity"):
        _hole(folder / f"{name}.bin", 0)
    for name, size in (
        ("body", 2 * _TOKENS),
        ("offsets", 8 * _TOKENS),
        ("title", 6),
        ("text", _CHARACTERS),
        ("ids", 16),
        ("bounds", 8),
    ):
        _hole(folder / f"{name}.bin", size * num_passages)
    sentences = np.array([[20 * n, 20 * n + 20 + 4 * (n == 2)] for n in range(_SENTENCES)], "<u4")
    spans = np.array([[10 * n + 2, 10 * n + 4, n % 3] for n in range(_SPANS)], "<u4")
    _written(folder / "sentences.bin", num_passages, lambda first, size: np.tile(sentences, (size, 1)))
    _written(folder / "spans.bin", num_passages, lambda first, size: np.tile(spans, (size, 1)))
    _written(folder / "groups.bin", num_passages, lambda first, size: np.arange(first, first + size, dtype="<u4"))
    _written(
        folder / "articles.bin",
        num_passages,
        lambda first, size: np.arange(first, first + size, dtype="<u4") // _ARTICLE_PASSAGES,
    )

    def names(first: int, size: int) -> npt.NDArray[np.generic]:
        # A few names are in many passages, most in few.
        return (num_names * rng.random(_SPANS * size) ** 3).astype("<u4")

    _written(folder / "span_names.bin", num_passages, names)
    _keys(folder / "names.bin", num_names)
    _written(
        folder / "name_sizes.bin",
        num_names,
        lambda first, size: np.stack([np.full(size, 2), np.arange(size) % 3], axis=1).astype("<u2"),
    )
    _ends(folder, "name_passages", num_names, 3)
    _written(
        folder / "name_passages.bin",
        3 * num_names,
        lambda first, size: rng.integers(num_passages, size=size).astype("<u4"),
    )
    _keys(folder / "words.bin", num_words)
    _ends(folder, "word_passages", num_words, _WORDS * num_passages // num_words)
    _hole(folder / "word_passages.bin", 4 * num_words * (_WORDS * num_passages // num_words))
    _hole(folder / "word_scores.bin", 4 * num_words * (_WORDS * num_passages // num_words))
    _keys(folder / "pieces.bin", known.vocab_size)
    _ends(folder, "piece_passages", known.vocab_size, 50 * num_passages // known.vocab_size)
    _hole(folder / "piece_passages.bin", 4 * known.vocab_size * (50 * num_passages // known.vocab_size))
    _hole(folder / "piece_counts.bin", 8 * known.vocab_size)
    sizes = {
        name: {"sha256": "0" * 64, "num_bytes": (folder / name).stat().st_size}
        for name in ("tokenizer.json", *column_files())
    }
    manifest = {"kind": "corpus", "format": FORMAT, "source": {"kind": "made up"}, "corpus_digest": "", "files": sizes}
    manifest |= {"settings": {"passages": "tokens", "max_passage_tokens": 64}, "tokenizer_digest": known.digest}
    manifest |= {
        "token_type": "u2",
        "num_passages": num_passages,
        "num_articles": num_articles,
        "num_repeated_passages": 0,
    }
    manifest |= {"num_tokens": _TOKENS * num_passages, "num_spans": {"entity": 0, "date": 0, "number": 0}}
    files.write_json(folder / files.MANIFEST, manifest | {"manifest_sha256": files.digest_of(manifest)})


def _written(path: Path, num_rows: int, rows: Callable[[int, int], npt.NDArray[np.generic]]) -> None:
    with path.open("wb") as file:
        for first in range(0, num_rows, _AT_ONCE):
            file.write(rows(first, min(_AT_ONCE, num_rows - first)).tobytes())


def _ends(folder: Path, name: str, num_rows: int, length: int) -> None:
    import numpy as np

    _written(
        folder / f"{name}.ends.bin",
        num_rows,
        lambda first, size: np.arange(first + 1, first + size + 1, dtype="<u8") * length,
    )


def _keys(path: Path, num_keys: int) -> None:
    """Ascending keys, evenly distributed."""
    import numpy as np

    step = np.uint64((1 << 64) // num_keys)
    _written(path, num_keys, lambda first, size: np.arange(first, first + size, dtype="<u8") * step)


def _hole(path: Path, num_bytes: int) -> None:
    with path.open("wb") as file:
        file.truncate(num_bytes)


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].startswith("{"):
        print(json.dumps(measure(json.loads(sys.argv[1]))))
    else:
        main()
