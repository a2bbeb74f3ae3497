"""Near-duplicate grouping against MinHash libraries: passages per second, and the share of planted copies found.

The passages are articles of Simple Wikipedia cut at sentence ends, up to 200 words each. For every 20th, three copies
are planted: verbatim, with a tenth of its words replaced, and a window that starts in its middle. The peers hash the
same five-word shingles 128 times, look up bands of two, and join passages with an estimated similarity of 0.2 or more.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from common import Figure, arguments, end, in_turn, not_measured, rate, report

SOURCE = Path(__file__).parent.parent.parent / "shared" / "data" / "corpora" / "simplewiki-2021.jsonl.xz"
NAME = "passages grouped by near-duplicates"
MAX_WORDS, EVERY = 200, 20
# A window shifted by half its length has a Jaccard similarity of one third.
NUM_HASHES, NUM_BANDS, MIN_JACCARD = 128, 64, 0.2
KINDS = ("verbatim", "a tenth of the words replaced", "shifted by half")

Group = Callable[[list[str]], Any]


def passages(count: int) -> list[str]:
    """The first `count` passages (0: all)."""
    from itertools import islice

    return list(islice(_passages(), count or None))


def _passages() -> Iterator[str]:
    from openrealm.corpus.sentences import sentence_bounds
    from openrealm.corpus.sources.jsonl import read

    for article in read(SOURCE):
        start = end = num_words = 0
        for first, last in sentence_bounds(article.text):
            length = len(article.text[first:last].split())
            if num_words and num_words + length > MAX_WORDS:
                yield article.text[start:end]
                start, num_words = first, 0
            end, num_words = last, num_words + length
        yield article.text[start:end]


def planted(texts: list[str]) -> tuple[list[str], list[list[tuple[int, int]]]]:
    """The texts followed by the copies, and for each kind of copy the numbers of originals and copies."""
    rng = random.Random(0)
    vocabulary = sorted({word for text in texts[::EVERY] for word in text.split()})
    chosen = [n for n in range(0, len(texts), EVERY) if len(texts[n].split()) >= 40]
    whole, where = list(texts), [list[tuple[int, int]]() for _ in KINDS]
    for n in chosen:
        words = texts[n].split()
        changed, half = list(words), len(words) // 2
        for place in rng.sample(range(len(words)), round(len(words) / 10)):
            changed[place] = rng.choice(vocabulary)
        for kind, copy in enumerate((words, changed, words[half:] + rng.choices(vocabulary, k=half))):
            where[kind].append((n, len(whole)))
            whole.append(" ".join(copy))
    return whole, where


def ours(texts: list[str]) -> Any:
    import numpy as np

    from openrealm.corpus.near_duplicates import near_groups

    return near_groups(texts, np.arange(len(texts)))


def _token_sets(texts: list[str]) -> Iterator[list[str]]:
    from openrealm.corpus.shingles import SHINGLE_WORDS, words

    for text in texts:
        found = words(text)
        yield [" ".join(found[i : i + SHINGLE_WORDS]) for i in range(max(1, len(found) - SHINGLE_WORDS + 1))]


def by_rensa(texts: list[str]) -> list[int]:
    from rensa import RMinHash, RMinHashLSH

    sketches = RMinHash.from_token_sets(_token_sets(texts), num_perm=NUM_HASHES, seed=1)
    return _joined(sketches, RMinHashLSH(threshold=MIN_JACCARD, num_perm=NUM_HASHES, num_bands=NUM_BANDS))


def by_datasketch(texts: list[str]) -> list[int]:
    from datasketch import MinHash, MinHashLSH

    sketches = MinHash.bulk([[s.encode() for s in found] for found in _token_sets(texts)], num_perm=NUM_HASHES)
    return _joined(sketches, MinHashLSH(num_perm=NUM_HASHES, params=(NUM_BANDS, NUM_HASHES // NUM_BANDS)))


def _joined(sketches: list[Any], lookup: Any) -> list[int]:
    """Join each passage to the earlier ones that the lookup proposes and the sketches confirm."""
    groups = list(range(len(sketches)))

    def root(n: int) -> int:
        while groups[n] != n:
            n = groups[n]
        return n

    for n, sketch in enumerate(sketches):
        for other in lookup.query(sketch):
            if sketch.jaccard(sketches[other]) >= MIN_JACCARD:
                groups[max(root(n), root(other))] = min(root(n), root(other))
        lookup.insert(n, sketch)
    return [root(n) for n in range(len(groups))]


def recall(groups: Any, where: list[list[tuple[int, int]]]) -> str:
    shares = [sum(int(groups[n] == groups[copy]) for n, copy in pairs) / len(pairs) for pairs in where]
    return ", ".join(f"{kind} {share:.2%}" for kind, share in zip(KINDS, shares, strict=True))


def histogram(groups: Any) -> str:
    """The number of groups by size, in doubling bins."""
    import numpy as np

    size = np.bincount(np.asarray(groups))
    bounds = [(low, 2 * low - 1) for low in 2 ** np.arange(1, 11)]
    counts = [(f"{low}-{high}", int(((size >= low) & (size <= high)).sum())) for low, high in bounds]
    return "groups by size: " + ", ".join(f"{name}: {count:,}" for name, count in counts if count)


def measured(name: str, peer: Group, texts: list[str], where: list[list[tuple[int, int]]], rounds: int) -> Figure:
    """Passages per second of both sides, and the planted copies that each finds."""
    groups: dict[str, Any] = {}
    sides: dict[str, Callable[[], object]] = {
        "ours": lambda: groups.update(ours=ours(texts)),
        name: lambda: groups.update({name: peer(texts)}),
    }
    seconds = in_turn(sides, num_rounds=rounds, max_seconds=20, warm_up=False)
    note = f"planted copies found: {recall(groups['ours'], where)}; {name}: {recall(groups[name], where)}"
    return rate(f"{NAME}, {len(texts):,}", "passages/s", len(texts), seconds["ours"], name, seconds[name], note)


def main() -> None:
    given = arguments(__doc__.splitlines()[0], passages=(0, 6_000))
    if not SOURCE.exists():
        end(f"{SOURCE} does not exist.", not_measured(NAME, "passages/s", "rensa", "the corpora are missing"))
    from openrealm.memory import peak_memory_bytes

    texts, where = planted(passages(given.passages))
    started = time.perf_counter()
    groups = ours(texts)
    seconds = time.perf_counter() - started
    memory = f"{peak_memory_bytes() / 2**30:.2f} GiB including the texts"
    copies = f"planted copies found: {recall(groups, where)}"
    print(f"{len(texts):,} passages: {seconds:.0f} s, {memory}; {copies}; {histogram(groups)}")
    figures = []
    for name, peer in (("rensa", by_rensa), ("datasketch", by_datasketch)):
        try:
            figures.append(measured(name, peer, texts, where, given.rounds))
        except ImportError:
            figures.append(not_measured(NAME, "passages/s", name, "not installed; it is in the extra `bench`"))
    report(*figures)


if __name__ == "__main__":
    main()
