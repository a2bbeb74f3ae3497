"""Held-out queries and the passages retrieved for them, before and after pre-training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openrealm.corpus.places import place_of
from openrealm.run import artefacts
from openrealm.run.folder import Run
from openrealm.run.queries import queries_of
from openrealm.types import NULL

if TYPE_CHECKING:
    from openrealm.corpus.corpus import Corpus
    from openrealm.model.reading import Reading
    from openrealm.train.examples import Example

NUM_SHOWN = 10


def examples(run: Run) -> list[dict[str, Any]]:
    """The first ten held-out queries with their candidates, most probable first, before and after pre-training.

    Before is the warm start with its index, after the pre-trained model with its own. Both indexes must exist.
    """
    from openrealm.train.examples import pretraining_examples

    corpus = artefacts.open_corpus(run)
    heldout = pretraining_examples(run.config, corpus, queries_of(run, corpus)).heldout[:NUM_SHOWN]
    before, after = _candidates(run, heldout, "warm_start"), _candidates(run, heldout, "pretrain")
    tokenizer = corpus.tokenizer()
    return [
        {
            "query": tokenizer.decode(example.query),
            "gold": tokenizer.decode(example.gold),
            "before": before[number],
            "after": after[number],
        }
        for number, example in enumerate(heldout)
    ]


def _candidates(run: Run, heldout: list[Example], stage: str) -> list[list[dict[str, Any]]]:
    from openrealm.train.heldout import evaluate_heldout

    corpus, engine = artefacts.open_corpus(run), artefacts.engine_of(run)
    model = artefacts.open_model(run, stage)
    index = artefacts.open_index(run, model, stage)
    _, readings = evaluate_heldout(model, corpus, index, heldout, run.config.pretrain, engine)
    return [row for reading in readings for row in _rows(corpus, reading, run.config.corpus.source)]


def _rows(corpus: Corpus, reading: Reading, source: str) -> list[list[dict[str, Any]]]:
    probability_BK, utility_BK = reading.retrieval_log_prob().exp(), reading.utility_BK()
    rows = []
    for b, numbers in enumerate(reading.candidates):
        row: list[dict[str, Any]] = []
        for k, number in enumerate(numbers):
            passage = None if number == NULL else corpus.passage(number)
            row.append(
                {
                    "title": passage.title if passage else "",
                    "place": place_of(corpus, number, source=source) if passage else "",
                    "text": passage.text if passage else "",
                    "probability": round(float(probability_BK[b, k]), 5),
                    "retrieval_utility": round(float(utility_BK[b, k]), 5),
                }
            )
        rows.append(sorted(row, key=lambda candidate: -candidate["probability"]))
    return rows
