"""Everything that `openrealm corpus inspect` shows of a run's corpus, as one JSON value."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from openrealm import files
from openrealm.config import with_settings
from openrealm.corpus import inspect
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.picture import check_format, draw
from openrealm.progress import say, track
from openrealm.run import previous, stages
from openrealm.run.artefacts import open_corpus
from openrealm.run.folder import Run
from openrealm.run.queries import queries_folder, queries_of

NUM_SHOWN = 10
NUM_FREQUENT = 15
# Passages tried for ten masked examples; if they give fewer, the corpus has next to nothing to mask.
_MAX_TRIED = 2000
_NUM_LEAK_QUERIES = 1000
_TOLD_APART = ("skipped", "examples", "remarks", "quarantined", "row_files")


def inspection(
    folder: Path, settings: Sequence[str] = (), *, seed: int = 0, plot: Path | None = None, leaks: bool = False
) -> dict[str, Any]:
    """Counts, lengths, frequent spans, what was skipped, and random passages and masked examples of a run's corpus.

    The examples come from the corpus named by `pretrain.queries`, if it is set. While the corpus is rebuilt, the one
    before that is shown. Nothing is written but the plot and, with `leaks`, what the corpus of queries shares.

    settings  changes to the run's own, such as "pretrain.queries=runs/other"
    seed      random seed of the passages and examples
    plot      where to save a plot of the lengths
    leaks     whether to measure how often a candidate contains the answer, which takes a minute or more
    Raises MissingStage if a corpus is missing, DamagedArtefact, Mismatch if the corpus of queries was built with
    another tokenizer; BadInput and NotInstalled for `plot`; with `leaks` and a corpus of queries, Busy if another
    process writes to the run.
    """
    if plot is not None:
        check_format(plot)

    def inspected(run: Run) -> dict[str, Any]:
        return _inspected(Run(run.folder, with_settings(run.config, settings)), folder, seed, plot, leaks)

    return previous.opened(folder, stages.get("corpus"), inspected)


def _inspected(run: Run, locked: Path, seed: int, plot: Path | None, leaks: bool) -> dict[str, Any]:
    corpus = open_corpus(run)
    leak_rates = _leaks(run, locked, corpus, seed) if leaks else None
    lengths = inspect.lengths(corpus)
    looked_at = np.sort(inspect.sample(corpus, inspect.MAX_SAMPLED, np.random.default_rng([seed, 0])))
    with track("salient spans", len(looked_at)) as advance:
        frequent = inspect.frequent_spans(corpus, looked_at, NUM_FREQUENT, advance)
    other = run.config.pretrain.queries
    queries = corpus if other is None else Corpus.open(queries_folder(other))
    examples, num_tried = masked_examples(run, queries, np.random.default_rng([seed, 2]))
    if plot is not None:
        draw(lengths, f"{run.config.name}: {corpus.num_passages:,} passages", plot)
    manifest = corpus.manifest
    return {
        "folder": str(corpus.folder),
        "source": {key: value for key, value in manifest["source"].items() if key not in _TOLD_APART},
        "settings": corpus.settings,
        "digest": corpus.digest,
        "counts": inspect.counts(corpus),
        "lengths": {name: dataclasses.asdict(histogram) for name, histogram in lengths.items()},
        "spans_counted_in": len(looked_at),
        "frequent": {kind: [dataclasses.asdict(span) for span in spans] for kind, spans in frequent.items()},
        "skipped": inspect.skipped(corpus),
        "skipped_examples": manifest["source"].get("examples", {}),
        "remarks": manifest["source"].get("remarks", []),
        "quarantined": manifest["source"].get("quarantined", []),
        "passages": [
            inspect.shown(corpus, i, run.config.corpus.source)
            for i in inspect.sample(corpus, NUM_SHOWN, np.random.default_rng([seed, 1])).tolist()
        ],
        "passages_tried": num_tried,
        "examples": examples,
        "queries": str(queries.folder),
        "leaks": leak_rates,
        "seed": seed,
    }


def masked_examples(run: Run, corpus: Corpus, rng: np.random.Generator) -> tuple[list[dict[str, Any]], int]:
    """Up to ten masked examples, each from a different passage, and the number of passages tried.

    They are made as in pre-training, except that `masking.min_passages` is ignored, since it needs the whole corpus.
    """
    from openrealm.train.examples import masked_example

    tokenizer, max_tokens = corpus.tokenizer(), run.config.pretrain.max_query_tokens - 2
    examples: list[dict[str, Any]] = []
    num_tried = 0
    for i in inspect.sample(corpus, _MAX_TRIED, rng).tolist():
        if len(examples) == NUM_SHOWN:
            break
        num_tried += 1
        example = masked_example(corpus, i, run.config.masking, max_tokens, rng)
        if example is not None:
            query, answer = tokenizer.decode(example.query), tokenizer.decode(example.gold)
            title = corpus.passage(i).title
            examples.append({"passage": i, "title": title, "kind": example.kind, "query": query, "answer": answer})
    return examples, num_tried


def _leaks(run: Run, locked: Path, corpus: Corpus, seed: int) -> dict[str, Any]:
    """`evaluate.leaks.leak_rate` with the run's settings, as JSON values; `locked` is what is locked for writing."""
    from openrealm.evaluate.leaks import leak_rate

    queries = None
    if run.config.pretrain.queries is not None:
        with files.sole_writer(locked):  # the passages that two corpora share are stored in the run
            queries = queries_of(run, corpus)
    say(f"leaks: building a BM25 index of {corpus.num_passages:,} passages")
    with track("leaks: masked queries", _NUM_LEAK_QUERIES) as advance:
        found = leak_rate(
            corpus,
            run.config.masking,
            queries=queries.corpus if queries else None,
            blocked=queries.blocked if queries else None,
            num_queries=_NUM_LEAK_QUERIES,
            max_query_tokens=run.config.pretrain.max_query_tokens,
            seed=seed,
            progress=advance,
        )
    return dataclasses.asdict(found)
