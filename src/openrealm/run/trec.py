"""Recall of a TREC run file whose passages are those of a run's corpus, or are judged by qrels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from openrealm.errors import BadInput
from openrealm.evaluate.trec import hits_by_answers, hits_by_qrels, measures, read_qrels, read_run
from openrealm.progress import warn
from openrealm.run import artefacts, previous, stages
from openrealm.run.questions import questions_by_id


def measured(
    trec: Path,
    run_folder: Path,
    *,
    qrels: Path | None = None,
    questions: Path | None = None,
    regex: bool = False,
) -> dict[str, Any]:
    """`evaluate.trec.measures` of a TREC run file, by qrels or by the answers to questions.

    run_folder  the run whose corpus the passages are from; it is not opened if there are qrels
    questions   JSONL file; the run file calls its questions by their "id", or by the numbers of their lines
    regex       the answers are regular expressions, as in CuratedTREC
    Raises BadInput if neither or both of `qrels` and `questions` are given, for a line that is wrong and for a passage
    that is not in the corpus.
    """
    if (qrels is None) == (questions is None):
        raise BadInput("A TREC run file is measured against --qrels FILE or the answers of --questions FILE; give one.")
    rankings = read_run(trec)
    if qrels is not None:
        judged = read_qrels(qrels)
        _warn_unknown(trec, set(rankings) - set(judged), qrels)
        return measures(hits_by_qrels(rankings, judged))
    assert questions is not None
    asked = questions_by_id(questions, regex=regex)
    _warn_unknown(trec, set(rankings) - set(asked), questions)
    corpus = previous.opened(run_folder, stages.get("corpus"), artefacts.open_corpus)

    def text_of(passage: str) -> str:
        number = corpus.number_of(passage)
        if number is None:
            raise BadInput(f"{trec} names the passage {passage}, which is not in the corpus of {run_folder}.")
        return corpus.passage(number).text

    return measures(hits_by_answers(rankings, asked, text_of))


def _warn_unknown(trec: Path, names: set[str], where: Path) -> None:
    if names:
        warn(f"{trec} ranks passages for {len(names):,} questions that {where} does not hold, such as {min(names)}.")
