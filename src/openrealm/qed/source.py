"""QED's paragraphs as the source "qed", and the questions about them, from two files in this folder.

README.md beside them says where they are from; `bench/qed_text.py` makes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from typing_extensions import TypedDict

from openrealm.corpus.sources import Source
from openrealm.corpus.sources.jsonl import read
from openrealm.corpus.sources.lines import read_lines
from openrealm.files import sha256_file
from openrealm.stored import read_as
from openrealm.types import Article, Question, QuestionSets

NAME = "qed"
_FOLDER = Path(__file__).parent
PASSAGES, QUESTIONS = _FOLDER / "passages.jsonl.xz", _FOLDER / "questions.jsonl.xz"
_REMEDY = "install openrealm again"


class _Row(TypedDict):
    """A line of questions.jsonl.xz; `passage` is the id of the paragraph that people were shown."""

    question: str
    answer: list[str]
    passage: str
    split: Literal["train", "dev", "test"]


class Qed(Source):
    """The source "qed": 1,023 paragraphs of Wikipedia.

    >>> next(Qed().articles()).title
    'Webbed toes'
    """

    def __init__(self) -> None:
        self.description = {"kind": NAME}

    def articles(self) -> Iterator[Article]:
        """One article per paragraph, with the title of its page."""
        return read(PASSAGES)

    def identity(self) -> Any:
        """Digest of the file."""
        return sha256_file(PASSAGES)


def qed_questions() -> QuestionSets:
    """1,078 questions of Natural Questions about the paragraphs: half to train on, others for choosing and testing.

    No title has questions in two of the three. `Question.passage` is the paragraph that answers the question.

    >>> [len(questions) for questions in (qed_questions().train, qed_questions().dev, qed_questions().test)]
    [551, 224, 303]
    """
    sets: dict[str, list[Question]] = {"train": [], "dev": [], "test": []}
    for number, line in enumerate(read_lines(QUESTIONS), 1):
        row = read_as(_Row, line.decode(), f"{QUESTIONS}:{number}", _REMEDY)
        sets[row["split"]].append(Question(row["question"], tuple(row["answer"]), passage=row["passage"]))
    return QuestionSets(**{name: tuple(questions) for name, questions in sets.items()})


def questions_digest() -> str:
    """Digest of the file of questions."""
    return sha256_file(QUESTIONS)
