"""Files in TREC's formats, which other tools read and write too, and recall measured from them.

A run says what a system retrieved, with lines `QUESTION Q0 PASSAGE RANK SCORE TAG`. Qrels say which passages are right,
with lines `QUESTION 0 PASSAGE RELEVANCE`. Questions and passages are named by ids without spaces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from openrealm.corpus.sources.lines import read_lines
from openrealm.errors import BadInput
from openrealm.evaluate.compare import MIN_MEASURED, mean_interval
from openrealm.evaluate.retrieval import has_answer, has_answer_regex, mean_reciprocal_rank, recall_at_k
from openrealm.types import Question

Ranking = list[tuple[str, float]]
"""Passages retrieved for a question with their scores, best first."""

_DEPTHS = (1, 5, 20, 100)
_RUN = "expected QUESTION Q0 PASSAGE RANK SCORE TAG"
_QRELS = "expected QUESTION 0 PASSAGE RELEVANCE"


def run_text(rankings: Mapping[str, Sequence[tuple[str, float]]], tag: str = "openrealm") -> str:
    """A run by the ids of its questions. A passage that a ranking repeats is written once, where it comes first.

    Raises BadInput if an id or the tag is empty or contains white space, which separates the columns.

    >>> print(run_text({"q1": [("d7", 2.5), ("d3", 1.0)]}), end="")
    q1 Q0 d7 1 2.500000 openrealm
    q1 Q0 d3 2 1.000000 openrealm
    """
    lines = []
    for question, ranking in rankings.items():
        scores: dict[str, float] = {}
        for passage, score in ranking:
            scores.setdefault(passage, score)
        for rank, (passage, score) in enumerate(scores.items(), 1):
            columns = (question, "Q0", passage, str(rank), f"{score:.6f}", tag)
            if bad := [column for column in columns if column.split() != [column]]:
                raise BadInput(f"{bad[0]!r} cannot be written to a TREC file; ids and the tag must have no spaces.")
            lines.append(" ".join(columns))
    return "".join(f"{line}\n" for line in lines)


def read_run(path: str | Path) -> dict[str, Ranking]:
    """The rankings of a run by question, in the order of the file. The file may be compressed.

    Passages are ordered by score, as TREC's own tool does it; equal scores keep the order of their ranks.
    Raises BadInput naming the first line that is wrong, or if there is none.
    """
    found: dict[str, list[tuple[float, int, str]]] = {}
    seen: set[tuple[str, str]] = set()
    for where, (question, _, passage, rank, score, _) in _rows(Path(path), 6, _RUN):
        if (question, passage) in seen:
            raise BadInput(f"{where} repeats passage {passage} for question {question}; expected each once.")
        seen.add((question, passage))
        found.setdefault(question, []).append((-_number(score, where), int(_number(rank, where)), passage))
    return {
        question: [(passage, -negative) for negative, _, passage in sorted(rows, key=lambda row: row[:2])]
        for question, rows in found.items()
    }


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """The relevance of passages by question; 0 and less is not relevant. Raises as `read_run` does."""
    found: dict[str, dict[str, int]] = {}
    for where, (question, _, passage, relevance) in _rows(Path(path), 4, _QRELS):
        found.setdefault(question, {})[passage] = int(_number(relevance, where))
    return found


def hits_by_qrels(rankings: Mapping[str, Ranking], qrels: Mapping[str, Mapping[str, int]]) -> list[list[bool]]:
    """For each question of `qrels`, best passage first: whether the passage is relevant.

    >>> hits_by_qrels({"q1": [("d7", 2.5), ("d3", 1.0)]}, {"q1": {"d3": 1}, "q2": {"d9": 1}})
    [[False, True], []]
    """
    return [
        [relevant.get(passage, 0) > 0 for passage, _ in rankings.get(question, ())]
        for question, relevant in qrels.items()
    ]


def hits_by_answers(
    rankings: Mapping[str, Ranking], questions: Mapping[str, Question], text_of: Callable[[str], str]
) -> list[list[bool]]:
    """For each of `questions`, best passage first: whether the passage contains an answer.

    text_of  the text of a passage by its id; raises BadInput for one that is not known

    >>> question = Question("What is the capital of Peru?", ("Lima",))
    >>> hits_by_answers({"q1": [("d7", 2.5)]}, {"q1": question}, {"d7": "Lima lies on the coast."}.__getitem__)
    [[True]]
    """
    return [
        [
            (has_answer_regex if question.regex else has_answer)(text_of(passage), question.answers)
            for passage, _ in rankings.get(name, ())
        ]
        for name, question in questions.items()
    ]


def measures(is_hit: Sequence[Sequence[bool]]) -> dict[str, Any]:
    """Recall at 1, 5, 20 and 100 passages and mean reciprocal rank, all 0 to 1, with 95% intervals.

    Recall at k is the share of questions with a right passage among their k best: "success" in the words of TREC. It is
    left out for k beyond the longest ranking, where it could only repeat that of a smaller k.
    Raises BadInput if there are no questions.

    >>> found = measures([[True], [False, True], [], []])
    >>> found["questions"], found["recall@1"]["mean"], found["reciprocal_rank"]["mean"]
    (4, 0.25, 0.375)
    """
    deepest = max(map(len, is_hit), default=0)
    out: dict[str, Any] = {"questions": len(is_hit), "deepest": deepest}
    for k in [depth for depth in _DEPTHS if depth <= max(deepest, 1)]:
        out[f"recall@{k}"] = _interval([recall_at_k([row], k) for row in is_hit])
    ranked = [mean_reciprocal_rank([row], max(deepest, 1)) for row in is_hit]
    return out | {"reciprocal_rank": _interval(ranked)}


def _interval(values: Sequence[float]) -> dict[str, float | None]:
    found = mean_interval(values)
    is_measured = len(values) >= MIN_MEASURED
    return {
        "mean": found.mean,
        "low": found.low if is_measured else None,
        "high": found.high if is_measured else None,
    }


def _rows(path: Path, num_columns: int, expected: str) -> Iterator[tuple[str, list[str]]]:
    """The columns of each line that is not blank, with the place of the line for messages."""
    if not path.is_file():
        raise BadInput(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}; give a file in TREC's format.")
    is_empty = True
    for number, line in enumerate(read_lines(path), 1):
        try:
            columns = line.decode("utf-8-sig").split()
        except UnicodeDecodeError as error:
            raise BadInput(f"{path}:{number} is not UTF-8; {expected}.") from error
        if columns and len(columns) != num_columns:
            raise BadInput(f"{path}:{number} has {len(columns)} columns; {expected}.")
        if columns:
            is_empty = False
            yield f"{path}:{number}", columns
    if is_empty:
        raise BadInput(f"{path} holds no lines; {expected} on each.")


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadInput(f"{where} has {text!r} where a finite number is expected.")
    return value
