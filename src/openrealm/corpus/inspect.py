"""What is in a corpus: counts, lengths, frequent spans, and what was skipped.

Text is read only to be shown, so that a corpus of millions of passages is inspected in seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from openrealm.corpus.corpus import Corpus
from openrealm.corpus.places import place_of
from openrealm.corpus.ragged import IntArray
from openrealm.corpus.tagger import KINDS

Indices = npt.NDArray[np.int64]

MAX_SAMPLED = 300_000
_NUM_BINS = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """Number of values in [start, end); the last bin of a histogram has no end."""

    start: int
    end: int | None
    count: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of small integers. `low` and `high` are the 5 % and 95 % quantiles; every value is in exactly one bin."""

    num_values: int
    mean: float
    smallest: int
    low: int
    median: int
    high: int
    largest: int
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Frequent:
    """A salient span as written at its first occurrence, and how often it occurs in the passages inspected."""

    text: str
    count: int


def counts(corpus: Corpus) -> dict[str, int]:
    """Number of articles, passages, tokens, sentences, spans by kind, and passages that repeat others."""
    shared = _sizes_of_groups(corpus)
    manifest = corpus.manifest
    return {
        "articles": manifest["num_articles"],
        "articles_with_passages": int(np.count_nonzero(_passages_of_articles(corpus))),
        "passages": corpus.num_passages,
        "tokens": manifest["num_tokens"],
        "sentences": int(corpus.lengths("sentences").sum()),
        **{f"{kind}_spans": manifest["num_spans"][kind] for kind in KINDS},
        "passages_without_spans": int((corpus.lengths("spans") == 0).sum()),
        "repeated_passages_skipped": manifest["num_repeated_passages"],
        "groups_of_duplicates": len(shared),
        "passages_in_groups": int(shared.sum()),
        "largest_group": int(shared.max(initial=0)),
        "bytes": sum(entry["num_bytes"] for entry in manifest["files"].values()),
    }


def lengths(corpus: Corpus) -> dict[str, Histogram]:
    """Histograms of tokens, sentences and spans per passage, and of passages per article and, if any, per group."""
    of_articles, of_groups = _passages_of_articles(corpus), _sizes_of_groups(corpus)
    found = {
        "tokens per passage": histogram(corpus.lengths("body")),
        "sentences per passage": histogram(corpus.lengths("sentences")),
        "salient spans per passage": histogram(corpus.lengths("spans")),
        "passages per article": histogram(of_articles[of_articles > 0]),
    }
    return found | ({"passages per group": histogram(of_groups)} if len(of_groups) else {})


def _passages_of_articles(corpus: Corpus) -> Indices:
    return np.bincount(corpus.articles.astype(np.int64))


def _sizes_of_groups(corpus: Corpus) -> Indices:
    """Number of passages of each group of two or more."""
    sizes = np.bincount(corpus.groups.astype(np.int64))
    return sizes[sizes > 1]


def histogram(values: IntArray) -> Histogram:
    """Histogram of non-negative integers: bins of one round width; outliers are in the last bin.

    Raises ValueError if there are no values.
    """
    if not len(values):
        raise ValueError("a histogram needs at least one value")
    count_of = np.bincount(values.astype(np.int64))
    smallest = int(np.flatnonzero(count_of)[0])
    sums = np.cumsum(count_of)

    def quantile(share: float) -> int:
        return int(np.searchsorted(sums, share * sums[-1]))

    width = _round_width((quantile(0.99) - smallest + 1) / _NUM_BINS)
    starts = range(smallest // width * width, quantile(0.99) + 1, width)
    bins = tuple(
        Bin(start, start + width, int(count_of[start : start + width].sum()))
        if start != starts[-1]
        else Bin(start, None, int(count_of[start:].sum()))
        for start in starts
    )
    mean = float(np.arange(len(count_of)) @ count_of / sums[-1])
    largest = len(count_of) - 1
    return Histogram(int(sums[-1]), mean, smallest, quantile(0.05), quantile(0.5), quantile(0.95), largest, bins)


def range_name(start: int, end: int | None) -> str:
    """A bin's values as text: "3", "10-19", "80+"."""
    if end is None:
        return f"{start:,}+"
    return f"{start:,}" if end == start + 1 else f"{start:,}-{end - 1:,}"


def _round_width(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50 ... that is at least `least`."""
    power = 1
    while True:
        for digit in (1, 2, 5):
            if digit * power >= least:
                return digit * power
        power *= 10


def skipped(corpus: Corpus) -> dict[str, int]:
    """Number of pages, files or passages that were skipped, by reason, the most frequent first."""
    found = dict(corpus.manifest["source"].get("skipped") or {})
    if corpus.manifest["num_repeated_passages"]:
        found["passage that repeats the title and text of another"] = corpus.manifest["num_repeated_passages"]
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def sample(corpus: Corpus, num_passages: int, rng: np.random.Generator) -> Indices:
    """Distinct random passages in random order; all of them if there are no more."""
    num_passages = min(num_passages, corpus.num_passages)
    return rng.choice(corpus.num_passages, num_passages, replace=False).astype(np.int64)


def frequent_spans(
    corpus: Corpus, passages: Indices, num_spans: int, advance: Callable[..., None] = lambda *_: None
) -> dict[str, list[Frequent]]:
    """The `num_spans` most frequent spans of each kind in `passages`, compared by their tokens.

    `advance` is called with the number of passages read since the last call.
    """
    found: dict[str, Counter[bytes]] = {kind: Counter() for kind in KINDS}
    for done, i in enumerate(passages.tolist(), start=1):
        for _, _, kind, tokens in _spans(corpus, i):
            found[kind][tokens] += 1
        if done % 1000 == 0 or done == len(passages):
            advance((done - 1) % 1000 + 1)
    best = {kind: sorted(c.items(), key=lambda item: (-item[1], item[0]))[:num_spans] for kind, c in found.items()}
    written = _as_written(corpus, passages, {(kind, tokens) for kind in KINDS for tokens, _ in best[kind]})
    return {kind: [Frequent(written[kind, tokens], count) for tokens, count in best[kind]] for kind in KINDS}


def _spans(corpus: Corpus, i: int) -> Iterator[tuple[int, int, str, bytes]]:
    body = corpus.body_tokens(i)
    return ((start, end, kind, body[start:end].tobytes()) for start, end, kind in corpus.spans(i))


def _as_written(corpus: Corpus, passages: Indices, wanted: set[tuple[str, bytes]]) -> dict[tuple[str, bytes], str]:
    """The text of each wanted span at its first occurrence; few passages are read, since these spans are frequent."""
    written: dict[tuple[str, bytes], str] = {}
    for i in passages.tolist():
        if len(written) == len(wanted):
            break
        for start, end, kind, tokens in _spans(corpus, i):
            if (kind, tokens) in wanted and (kind, tokens) not in written:
                written[kind, tokens] = span_text(corpus, i, start, end)
    return written


def span_text(corpus: Corpus, i: int, start: int, end: int) -> str:
    """Text of passage i at its tokens [start, end)."""
    offsets = corpus.token_offsets(i)
    return corpus.passage(i).text[int(offsets[start, 0]) : int(offsets[end - 1, 1])]


def shown(corpus: Corpus, i: int, source: str | Path | None = None) -> dict[str, Any]:
    """A passage to be shown, as JSON values; its spans are characters of the text."""
    passage, offsets = corpus.passage(i), corpus.token_offsets(i)
    spans = [(int(offsets[start, 0]), int(offsets[end - 1, 1]), kind) for start, end, kind in corpus.spans(i)]
    return {
        "passage": i,
        "id": passage.id,
        "title": passage.title,
        "place": place_of(corpus, i, source=source),
        "text": passage.text,
        "tokens": len(corpus.body_tokens(i)),
        "spans": [{"start": start, "end": end, "kind": kind} for start, end, kind in spans],
    }
