"""Sets of questions, and the ranks of the first right passages among those found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from openrealm import files
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.sources.lines import read_lines
from openrealm.evaluate.retrieval import has_answer, has_answer_regex
from openrealm.qa.questions import read_asked
from openrealm.run.questions import read_questions
from openrealm.types import MAX_REGEX_SECONDS, Question

NUM_FOUND = 100


@dataclass(frozen=True)
class QuestionSet:
    """Questions of one kind and, if they are known, the paragraphs that hold their answers."""

    name: str
    questions: tuple[Question, ...]
    paragraphs: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the content."""
        asked = [[question.text, list(question.answers), question.regex] for question in self.questions]
        return files.digest_of([self.name, asked, list(self.paragraphs)])


def read_set(name: str, path: Path, *, regex: bool = False, max_questions: int | None = None) -> QuestionSet:
    """The questions of a JSONL file, which may be compressed, and gold paragraphs if its rows have a "passage".

    regex          the answers are regular expressions, as in CuratedTREC
    max_questions  take no more than this many, from the start
    Raises BadInput naming the file and the first invalid line.
    """
    if not regex and path.is_file() and _has_passages(path):
        asked = [one for one in islice(read_asked(path), max_questions) if one.answers]
        questions = tuple(Question(one.text, one.answers) for one in asked)
        return QuestionSet(name, questions, tuple(one.paragraph for one in asked))
    return QuestionSet(name, tuple(read_questions(path, regex=regex)[:max_questions]))


def _has_passages(path: Path) -> bool:
    try:
        first = json.loads(next((line for line in read_lines(path) if line.strip()), b"{}"))
    except ValueError:
        return False  # the reader of questions says what is wrong with it
    return isinstance(first, dict) and "passage" in first


def answer_ranks(
    corpus: Corpus, asked: QuestionSet, found: Sequence[Sequence[int]], max_regex_seconds: float = MAX_REGEX_SECONDS
) -> list[int]:
    """For each question the rank, from 1, of the first passage found that contains an answer; 0 if none does."""
    return [
        _first_rank([_holds(corpus.passage(i).text, question, max_regex_seconds) for i in row])
        for question, row in zip(asked.questions, found, strict=True)
    ]


def gold_ranks(
    corpus: Corpus, asked: QuestionSet, found: Sequence[Sequence[int]], max_regex_seconds: float = MAX_REGEX_SECONDS
) -> list[int]:
    """The same for passages cut from the question's own paragraph that contain an answer.

    Unlike an answer's text, which also occurs by chance, the gold passage cannot be guessed.
    """
    ranks = []
    for question, paragraph, row in zip(asked.questions, asked.paragraphs, found, strict=True):
        whole = " ".join(paragraph.split())
        texts = [corpus.passage(i).text for i in row]
        holds = [" ".join(text.split()) in whole and _holds(text, question, max_regex_seconds) for text in texts]
        ranks.append(_first_rank(holds))
    return ranks


def _holds(text: str, question: Question, max_regex_seconds: float) -> bool:
    if question.regex:
        return has_answer_regex(text, question.answers, max_regex_seconds)
    return has_answer(text, question.answers)


def _first_rank(is_right: Sequence[bool]) -> int:
    return next((rank for rank, is_it in enumerate(is_right, 1) if is_it), 0)
