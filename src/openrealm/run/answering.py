"""Every system's answers to the test questions, with the passages they come from, and the figures over all of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from openrealm import files
from openrealm.corpus.places import place_of
from openrealm.evaluate.answers import exact_match, f1, regex_match
from openrealm.evaluate.compare import mean_interval
from openrealm.evaluate.retrieval import has_answer, has_answer_regex, mean_reciprocal_rank, recall_at_k
from openrealm.run import artefacts
from openrealm.run.folder import Run
from openrealm.run.systems import System
from openrealm.types import MAX_REGEX_SECONDS, Question

if TYPE_CHECKING:
    from openrealm.corpus.corpus import Corpus
    from openrealm.model.realm import Realm
    from openrealm.train.spans import Found, PassageFinder

NUM_RETRIEVED = 20
RECALL_AT = (1, 5, 20)
Row = dict[str, Any]


def answer_system(run: Run, system: System, questions: Sequence[Question], seen: Collection[tuple[str, int]]) -> Row:
    """Ask one fine-tuned system every question. Writes evaluate/SYSTEM.json and returns its content.

    seen  the (relation, wording) pairs of the training questions; other wordings of a known relation are paraphrases
          unseen in training
    Raises MissingStage if the system is not fine-tuned.
    """
    from openrealm.train.tasks.closed_book import answer_closed_book

    model = artefacts.open_model(run, system.stage)
    if system.reads_passages:
        rows, _ = answer_rows(run, model, artefacts.open_finder(run, system, model), questions, seen)
    else:
        corpus, engine, settings = artefacts.open_corpus(run), artefacts.engine_of(run), run.config.finetune
        texts = answer_closed_book(model, corpus, questions, settings, engine)
        longest = run.config.max_regex_seconds
        rows = [_row(question, text, seen, longest) for question, text in zip(questions, texts, strict=True)]
    answers = {"system": system.name, "figures": figures(rows), "questions": rows}
    files.write_json(run.evaluate / f"{system.name}.json", answers)
    return answers


def answer_rows(
    run: Run,
    model: Realm,
    finder: PassageFinder,
    questions: Sequence[Question],
    seen: Collection[tuple[str, int]] = (),
) -> tuple[list[Row], list[list[Found]]]:
    """How a model answers each question with the passages that `finder` finds, and the best spans of those it reads.

    seen  as in `answer_system`
    """
    from openrealm.train.spans import answer_all

    corpus, engine, settings = artefacts.open_corpus(run), artefacts.engine_of(run), run.config.finetune
    found, retrieved = answer_all(model, corpus, finder, questions, settings, engine, num_retrieved=NUM_RETRIEVED)
    rows = [
        _row(question, best[0].text if best else "", seen, run.config.max_regex_seconds)
        | _retrieval(run, corpus, question, best, passages)
        for question, best, passages in zip(questions, found, retrieved, strict=True)
    ]
    return rows, found


def _row(question: Question, prediction: str, seen: Collection[tuple[str, int]], max_regex_seconds: float) -> Row:
    is_match = regex_match(prediction, question.answers, max_regex_seconds) if question.regex else None
    relations = {relation for relation, _ in seen}
    asked_as = (question.relation, question.wording)
    return {
        "question": question.text,
        "answers": list(question.answers),
        "relation": question.relation,
        "subject": question.subject,
        "wording": question.wording,
        "unseen_wording": question.relation in relations and asked_as not in seen,
        "prediction": prediction,
        "em": int(exact_match(prediction, question.answers) if is_match is None else is_match),
        # F1 counts shared words, and a pattern has none.
        "f1": None if question.regex else round(f1(prediction, question.answers), 4),
    }


def _retrieval(run: Run, corpus: Corpus, question: Question, found: Sequence[Found], passages: Sequence[int]) -> Row:
    """The passage of the answer, and the rank (from 1) of the first retrieved passage that contains a right one."""
    hits = (n for n, i in enumerate(passages, 1) if is_right(corpus, i, question, run.config.max_regex_seconds))
    row: Row = {"rank": next(hits, None)}
    if found:
        best = found[0]
        passage = corpus.passage(best.passage)
        place = place_of(corpus, best.passage, best.start, run.config.corpus.source)
        row |= {"passage_id": passage.id, "title": passage.title, "place": place, "score": round(best.logit, 4)}
    return row


def holds_answer(
    corpus: Corpus, passage: int, question: Question, max_regex_seconds: float = MAX_REGEX_SECONDS
) -> bool:
    """Whether a passage contains an answer of a question."""
    text = corpus.passage(passage).text
    if question.regex:
        return has_answer_regex(text, question.answers, max_regex_seconds)
    return has_answer(text, question.answers)


def is_right(corpus: Corpus, passage: int, question: Question, max_regex_seconds: float = MAX_REGEX_SECONDS) -> bool:
    """Whether a passage answers a question: it contains an answer, and is of the article that the question names."""
    is_named = question.passage in ("", corpus.passage(passage).article_id)
    return is_named and holds_answer(corpus, passage, question, max_regex_seconds)


def figures(rows: Sequence[Row]) -> Row:
    """Exact match with its interval, F1, recall, reciprocal rank, and exact match on seen and unseen wordings.

    F1 is over the questions whose answers are texts, and None without any.
    """
    em = mean_interval([row["em"] for row in rows])
    out: Row = {"em": em.mean, "em_low": em.low, "em_high": em.high}
    out["f1"] = _mean([row["f1"] for row in rows if row["f1"] is not None])
    if "rank" in rows[0]:
        hits = [[row["rank"] == n for n in range(1, NUM_RETRIEVED + 1)] for row in rows]
        out |= {f"recall@{k}": recall_at_k(hits, k) for k in RECALL_AT}
        out[f"mrr@{NUM_RETRIEVED}"] = mean_reciprocal_rank(hits, NUM_RETRIEVED)
    for name, unseen in (("em_seen_wordings", False), ("em_unseen_wordings", True)):
        out[name] = _mean([row["em"] for row in rows if row["unseen_wording"] == unseen])
    return out


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def by_relation(answers: dict[str, Row]) -> dict[str, Row]:
    """For each relation the number of its questions and every system's exact match on them."""
    relations: dict[str, Row] = {}
    for system, answered in answers.items():
        values: dict[str, list[int]] = {}
        for row in answered["questions"]:
            if row["relation"]:
                values.setdefault(row["relation"], []).append(row["em"])
        for relation, em in values.items():
            entry = relations.setdefault(relation, {"questions": len(em), "em": {}})
            entry["em"][system] = sum(em) / len(em)
    return relations
