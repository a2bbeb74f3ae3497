"""The indexes of a run, measured: ways to search one, and what has changed between two versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from openrealm.errors import BadInput
from openrealm.evaluate.retrieval import recall_at_k
from openrealm.index.bench import Measured, bench
from openrealm.index.compare import difference
from openrealm.index.index import Index, newest, version_named, versions
from openrealm.index.recall import NUM_QUERIES
from openrealm.model.realm import Realm
from openrealm.run import artefacts, questions, stages
from openrealm.run.answering import is_right
from openrealm.run.folder import Run
from openrealm.types import Question

QUANTILES = (0.5, 0.9, 0.99, 1.0)
MOVED = 1e-6
"""The cosine distance above which a vector counts as moved."""


def bench_run(run: Run, texts: Sequence[str], searchers: Sequence[str]) -> tuple[list[Measured], str]:
    """Measure the ways to search the newest index of a run; also returns what the queries were, in words.

    texts      questions; if there are none the run's dev questions, or up to 200 of its passages if it has none
    searchers  more searchers by name
    Raises MissingStage without an index.
    """
    version = newest(run.index)
    texts = texts or [question.text for question in _dev_questions(run)]
    if not texts:
        return bench(version, None, searchers), "passages"
    return bench(version, _vectors(run, texts), searchers), f"{len(texts):,} questions"


def diff_run(run: Run, first: str | None, second: str | None, k: int) -> dict[str, Any]:
    """What differs between two index versions of a run, given by name or folder; None means the oldest and the newest.

    The queries are the run's dev questions or, if it has none, up to 200 of its passages. Returns figures by name:
    `passages`; `moved`, how many vectors have another direction; `cosine_distance` by quantile; `overlap` of the best
    k, `rank_correlation` of their scores; and with dev questions recall@k of both versions, `recall`.
    Raises BadInput if there is no such version, Mismatch if they are not of the same corpus.
    """
    found = versions(run.index)
    if len(found) < 2 and not (first and second):
        raise BadInput(f"{run.index} has {len(found)} version(s); give two to compare, by name or folder.")
    old, new = (Index.open(_version(run, name) if name else found[at]) for name, at in ((first, 0), (second, -1)))
    dev = _dev_questions(run)
    if dev:
        query_BD = _vectors(run, [question.text for question in dev])
    else:
        query_BD = new.vector_ND[torch.randperm(len(new), generator=torch.Generator().manual_seed(0))[:NUM_QUERIES]]
    query_BD = query_BD.float()
    compared = difference(old, new, query_BD, k)
    quantiles = torch.tensor(QUANTILES, dtype=torch.double)
    drifts = compared.drift_N.double().sort().values[((len(new) - 1) * quantiles).round().long()].tolist()
    return {
        "old": old.name,
        "new": new.name,
        "passages": len(new),
        "moved": int((compared.drift_N > MOVED).sum()),
        "cosine_distance": dict(zip(map(str, QUANTILES), drifts, strict=True)),
        "queries": "dev questions" if dev else "passages",
        "num_queries": len(query_BD),
        "k": k,
        "overlap": compared.overlap,
        "rank_correlation": compared.rank_correlation,
        "recall": _recalls(run, dev, (old, new), query_BD, k) if dev else None,
    }


def _version(run: Run, name: str) -> Path:
    path = Path(name) if Path(name).is_dir() else version_named(run.index, name)
    if not path.is_dir():
        known = ", ".join(version.name for version in versions(run.index)) or "none"
        raise BadInput(f"{run.folder} has no index version {name!r}; choose from {known}, or give a folder.")
    return path


def _dev_questions(run: Run) -> Sequence[Question]:
    return questions.load(run).dev if run.questions.exists() else ()


def _model(run: Run) -> Realm:
    start = "pretrain" if stages.get("pretrain").is_finished(run) else "warm_start"
    return artefacts.open_model(run, start)


def _vectors(run: Run, texts: Sequence[str]) -> Tensor:
    return _model(run).encode_query(list(texts), convert_to_tensor=True).float().cpu()


def _recalls(run: Run, dev: Sequence[Question], indexes: Sequence[Index], query_BD: Tensor, k: int) -> dict[str, float]:
    """Recall@k by index: the share of questions with an answer in one of the k best passages."""
    corpus, shares = artefacts.open_corpus(run), {}
    for name, index in zip(("old", "new"), indexes, strict=True):
        ids = index.search(query_BD, k).passages()
        hits = [[is_right(corpus, i, question) for i in row] for question, row in zip(dev, ids, strict=True)]
        shares[name] = recall_at_k(hits, k)
    return shares
