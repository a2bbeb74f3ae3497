"""Held-out queries and the passages retrieved for them: during pre-training as recorded, and before and after it."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired

from typing_extensions import TypedDict

from openrealm import files
from openrealm.corpus.places import place_of
from openrealm.evaluate.page_data import Passages, utilities
from openrealm.run import artefacts
from openrealm.run.folder import Run
from openrealm.run.queries import queries_of
from openrealm.stored import Count, read_as
from openrealm.types import NULL

if TYPE_CHECKING:
    from openrealm.corpus.corpus import Corpus
    from openrealm.model.reading import Reading
    from openrealm.train.examples import Example

PROGRESS, HELDOUT, RETRIEVED = "progress.jsonl", "heldout.json", "retrieved.jsonl"
"""What `run.recorder` writes into the folder of a training."""
NUM_SHOWN = 10
NUM_RECORDED = 24
"""How many held-out queries the report has with what was retrieved during training."""
_MAX_RECORDS = 12
_REMEDY = "pre-train again"
_HEAD = re.compile(rb'\{"step":(\d+),"index":"([^"\\]*)",')


class HeldoutQuery(TypedDict):
    """A held-out query as text, its masked words, and their kind."""

    query: str
    gold: str
    kind: str


class Heldout(TypedDict):
    """The content of heldout.json: the digest of the corpus that passages are numbered in, and the queries."""

    corpus: str
    queries: list[HeldoutQuery]


class _Line(TypedDict):
    """A line of retrieved.jsonl: one list per held-out query."""

    step: Count
    index: str
    passages: list[list[int]]
    probability: list[list[float]]
    utility: NotRequired[list[list[float]]]


def read_heldout(folder: Path) -> Heldout:
    """The held-out queries of a pre-training; without queries if it has recorded none. Raises DamagedArtefact."""
    path = folder / HELDOUT
    return files.read_json(path, Heldout, _REMEDY) if path.exists() else {"corpus": "", "queries": []}


def recorded(
    folder: Path, heldout: Heldout, numbers: Sequence[int], corpus: Corpus | None, source: str
) -> dict[str, Any]:
    """What was retrieved for some held-out queries during pre-training, as `evaluate.report.Retrieved`.

    folder   of the pre-training, which may be under way
    numbers  of the queries
    corpus   where passages are looked up; None, or another one than was trained on, leaves their texts out
    source   of the corpus, for the places of passages
    At most twelve of the records are read: the first, the last of each index version, or of versions evenly spaced.
    """
    passages = Passages()
    lines = _lines(folder)
    known = corpus if corpus is not None and corpus.digest == heldout["corpus"] else None
    queries = []
    for number in numbers:
        records = [
            {
                "step": line["step"],
                "index": line["index"],
                "label": label,
                "candidates": [
                    [passages.add(*_passage(known, passage, source)), p, u]
                    for passage, p, u in _candidates_of(line, number)
                ],
            }
            for line, label in zip(lines, _labels(lines), strict=True)
        ]
        queries.append({**heldout["queries"][number], "records": records})
    return {"queries": queries, "passages": passages.rows}


def recorded_utilities(folder: Path, num_queries: int) -> list[dict[str, float | None]]:
    """Expected retrieval utility of each held-out query at first and at last, as `first` and `last`."""
    lines = [line for line in _lines(folder) if line.get("utility")]
    ends = lines[:1] + lines[-1:]
    return [utilities([{"candidates": _candidates_of(line, n)} for line in ends]) for n in range(num_queries)]


def _lines(folder: Path) -> tuple[_Line, ...]:
    path = folder / RETRIEVED
    if not path.exists():
        return ()
    found = path.stat()
    return _lines_of(path, (found.st_ino, found.st_size, found.st_mtime_ns))


@functools.lru_cache(maxsize=4)
def _lines_of(path: Path, _version: tuple[int, int, int]) -> tuple[_Line, ...]:
    """The lines to show, in order. Only these are parsed, and a line that is still being written is left out."""
    whole = [line for line in path.read_bytes().split(b"\n")[:-1] if _HEAD.match(line)]
    by_version: dict[bytes, bytes] = {}
    for line in whole[1:]:
        head = _HEAD.match(line)
        assert head is not None
        before = by_version.get(head[2])
        # An evaluation tells more than the search that is recorded when a version is adopted.
        if before is None or b'"utility":' in line or b'"utility":' not in before:
            by_version.pop(head[2], None)
            by_version[head[2]] = line
    later = [*by_version.values()]
    room = _MAX_RECORDS - 1
    if len(later) > room:
        later = [later[round(i * (len(later) - 1) / (room - 1))] for i in range(room)]
    return tuple(read_as(_Line, line.decode(errors="replace"), path, _REMEDY) for line in whole[:1] + later)


def _labels(lines: Sequence[_Line]) -> list[str]:
    return ["before training" if line["step"] == 0 else f"step {line['step']:,}" for line in lines]


def _candidates_of(line: _Line, number: int) -> list[tuple[int, float, float | None]]:
    """Passage, p(z|x) and utility of the candidates of a query; empty if the line has no such query."""
    if number >= len(line["passages"]):
        return []
    passages, probability = line["passages"][number], line["probability"][number]
    all_utilities = line.get("utility") or []
    utility: Sequence[float | None] = all_utilities[number] if number < len(all_utilities) else ()
    return list(zip(passages, probability, utility or [None] * len(passages), strict=True))


def _passage(corpus: Corpus | None, number: int, source: str) -> tuple[str, str, str]:
    """Title, place and text of a passage; its number as its title where it cannot be looked up."""
    if number == NULL:
        return "", "", ""
    if corpus is None or number >= len(corpus):
        return f"passage {number}", "", ""
    passage = corpus.passage(number)
    return passage.title, place_of(corpus, number, source=source), passage.text


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
