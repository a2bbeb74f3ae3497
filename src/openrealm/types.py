"""The nouns of the house, free of torch: what flows down the street from source to answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

NULL = -1
"""The number of the null passage: the empty passage that stands for "nothing retrieved helps" (Guu et al. 2020)."""


@dataclass(frozen=True, slots=True)
class Article:
    """A page of a source: `id` is unique in the source, `text` is cleaned prose, newlines part paragraphs.

    `mentions` are the character ranges of `text` that the source itself marks as names, such as a wiki's links:
    sorted, not overlapping, of the kind "entity". Most sources mark none.
    """

    id: str
    title: str
    text: str
    mentions: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """The retrievable unit z: `text == article.text[start:end]`; `id` is a digest of title and text."""

    id: str
    title: str
    text: str
    article_id: str
    start: int
    end: int


class Span(NamedTuple):
    """Half-open character range [start, end) of a text, with its kind: "entity", "date" or "number".

    A tuple, since millions are made.
    """

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question with every answer that counts as right: texts, or regular expressions where `regex` says so."""

    text: str
    answers: tuple[str, ...]
    relation: str = ""
    subject: str = ""
    wording: int = 0
    regex: bool = False


@dataclass(frozen=True, slots=True)
class QuestionSets:
    """Questions to fine-tune on, to select models with, and to report on."""

    train: tuple[Question, ...] = ()
    dev: tuple[Question, ...] = ()
    test: tuple[Question, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadPassage:
    """One passage as it was read for an answer; `answer_start`/`answer_end` are characters of `text`."""

    passage_id: str
    title: str
    text: str
    answer: str
    answer_start: int
    answer_end: int
    probability: float
    retrieval_utility: float
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What `ask` returns: the best answer, the passage it was read from, and the runners-up."""

    question: str
    text: str
    score: float
    source: ReadPassage | None
    runners_up: tuple[ReadPassage, ...] = field(default=())
    index_version: str = ""
