"""Seconds per question with everything loaded: the REALM of a run against BM25 with the same reader.

Each round asks both sides the same test question of the run. Needs a finished run.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from common import arguments, duration, end, in_turn, not_measured, report

if TYPE_CHECKING:
    from openrealm.run.folder import Run
    from openrealm.serve.answerer import Answerer

_FIGURE, _PEER = "time to answer a question", "BM25 with the same reader"


def main() -> None:
    given = arguments(__doc__.splitlines()[0], run=("runs/quickstart", "runs/quickstart"), questions=(100, 20))
    from openrealm.errors import OpenRealmError
    from openrealm.run.folder import Run
    from openrealm.serve.answerer import Answerer

    try:
        run = Run.open(Path(given.run))
        realm = Answerer.open(run.folder)
    except OpenRealmError as error:
        end(
            f"Nothing to measure: {error}",
            not_measured(_FIGURE, "seconds", _PEER, f"no finished run in {given.run}"),
        )
    import torch

    torch.set_num_threads(given.threads)
    bm25, texts = bm25_answerer(run), asked(run)
    for_realm, for_bm25 = itertools.cycle(texts), itertools.cycle(texts)
    seconds = in_turn(
        {"ours": lambda: realm.ask(next(for_realm)), "bm25": lambda: bm25.ask(next(for_bm25))},
        num_rounds=given.questions,
        max_seconds=30 if given.quick else 600,
    )
    note = f"slowest of {len(seconds['ours'])} questions: {max(seconds['ours']):.3f} seconds"
    report(duration(f"{_FIGURE}, {run.config.name}", seconds["ours"], _PEER, seconds["bm25"], note))


def bm25_answerer(run: Run) -> Answerer:
    """REALM's span reader on passages retrieved by BM25."""
    from openrealm.run import artefacts
    from openrealm.run.systems import SYSTEMS
    from openrealm.serve.answerer import Answerer

    model, finder = artefacts.open_model(run, SYSTEMS["realm"].stage), artefacts.bm25_finder(run, trained=False)
    corpus, engine = artefacts.open_corpus(run), artefacts.engine_of(run)
    return Answerer(model, corpus, finder=finder, config=run.config, engine=engine)


def asked(run: Run) -> list[str]:
    """The run's test questions, or its training questions if it has no test questions."""
    from openrealm.run import questions

    sets = questions.load(run)
    return [question.text for question in sets.test or sets.train]


if __name__ == "__main__":
    main()
