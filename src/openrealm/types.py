"""The nouns that everything shares, free of torch: what goes from a source to an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

NULL = -1
"""The number of the null passage: the empty passage that stands for "nothing retrieved helps" (Guu et al. 2020)."""


@dataclass(frozen=True, slots=True)
class Article:
    """A page of a source: `id` is unique within the source, `text` is cleaned prose with newlines between paragraphs.

    `mentions` are the character ranges of `text` that the source itself marks as names, such as a wiki's links:
    sorted, not overlapping, of the kind "entity". Most sources mark none.
    `lines` say where the lines of `text` are in the source: sorted by `start`, the first at 0; empty where not known.
    `valid_from` and `valid_to` are the first and the last day of its validity, such as "2019-06-01"; "" is no bound.

    >>> Article("1", "Peru", "Lima is the capital of Peru.").title
    'Peru'
    """

    id: str
    title: str
    text: str
    mentions: tuple[Span, ...] = ()
    lines: tuple[Line, ...] = ()
    valid_from: str = ""
    valid_to: str = ""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on what is read of a source, so that no file takes all memory or time; the settings `corpus.max_…`.

    max_file_mb            largest document, packed or not; an MB is 2^20 bytes
    max_file_seconds       CPU time for a document
    max_file_memory_mb     memory for a document
    max_line_characters    longest line of prose
    max_row_mb             longest row of a file of rows
    max_row_group_mb       memory for the rows that Parquet decodes at once
    max_expansion          how many times as long a compressed file of rows may become
    max_archive_files      files in a document that is an archive, such as an EPUB
    max_page_mb            largest page of a wiki, as XML
    max_page_seconds       CPU time for a wiki's page
    max_page_memory_mb     memory for a wiki's page

    >>> Limits(max_file_mb=512).max_file_mb
    512
    """

    max_file_mb: int = 256
    max_file_seconds: float = 120.0
    max_file_memory_mb: int = 1024
    max_line_characters: int = 1_000_000
    max_row_mb: int = 64
    max_row_group_mb: int = 1024
    max_expansion: int = 500
    max_archive_files: int = 100_000
    max_page_mb: int = 64
    max_page_seconds: float = 5.0
    max_page_memory_mb: int = 1024


DEFAULT_LIMITS = Limits()
"""What is read if nobody says otherwise."""

MAX_REGEX_SECONDS = 1.0
"""Time for an answer's regular expression on one text, if nobody says otherwise; the setting `max_regex_seconds`."""


class Line(NamedTuple):
    """From character `start` of an article's text on, the text comes from `position` of its source.

    position    offset in characters: of the decoded file, or of the row's text where a file holds many articles
    part        page of a PDF, chapter of an EPUB, cell of a notebook, paragraph of a .docx, line or row of a file of
                rows, all from 1; 0 where the file is one piece
    is_heading  the line is a heading, which opens a new passage

    >>> article = Article("peru.md", "Peru", "Lima is the capital.", lines=(Line(0, 8),))
    >>> "# Peru\\n\\nLima is the capital."[article.lines[0].position :]
    'Lima is the capital.'
    """

    start: int
    position: int
    part: int = 0
    is_heading: bool = False


class Origin(NamedTuple):
    """Where a piece of text is in its source: an article's id, and `position` and `part` as in `Line`."""

    article_id: str
    position: int
    part: int = 0


@dataclass(frozen=True, slots=True)
class Passage:
    """The retrievable unit z: `text == article.text[start:end]`; `id` is a digest of title and text.

    >>> article = Article("1", "Peru", "Lima is the capital of Peru. It lies on the coast.")
    >>> passage = Passage("d1", article.title, article.text[29:], article.id, 29, 50)
    >>> passage.text == article.text[passage.start : passage.end]
    True
    """

    id: str
    title: str
    text: str
    article_id: str
    start: int
    end: int


class Span(NamedTuple):
    """Half-open character range [start, end) of a text, with its kind: "entity", "date" or "number".

    A tuple, because millions of them are made.

    >>> span = Span(0, 4, "entity")
    >>> "Lima is the capital of Peru."[span.start : span.end]
    'Lima'
    """

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question with every answer that counts as right: texts, or regular expressions if `regex` is set.

    passage  id of the article that the question is about; "" if any passage with an answer is a right one

    >>> Question("What is the capital of Peru?", ("Lima",)).answers
    ('Lima',)
    """

    text: str
    answers: tuple[str, ...]
    relation: str = ""
    subject: str = ""
    wording: int = 0
    regex: bool = False
    passage: str = ""


@dataclass(frozen=True, slots=True)
class QuestionSets:
    """Questions to fine-tune on, to select models with, and to report on."""

    train: tuple[Question, ...] = ()
    dev: tuple[Question, ...] = ()
    test: tuple[Question, ...] = ()


@dataclass(frozen=True, slots=True)
class RetrievedPassage:
    """A passage found for a question.

    score   the retriever's: an inner product of vectors, BM25's, or a weighted sum of both
    origin  where the line on which the passage begins is in the source; None where not known
    place   the same in words, such as "guide.md, line 120"; "" where not known
    """

    passage_id: str
    title: str
    text: str
    article_id: str
    score: float
    origin: Origin | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What a search finds for a question: passages, best first.

    by             how they were found: "dense", "bm25" or "fused"
    index_version  name of the index that was searched; "bm25" if none was

    >>> passage = RetrievedPassage("d1", "Peru", "Lima is the capital.", "peru.md", 7.0)
    >>> Retrieval("What is the capital of Peru?", (passage,), "bm25", "bm25").passages[0].title
    'Peru'
    """

    question: str
    passages: tuple[RetrievedPassage, ...]
    by: str
    index_version: str


@dataclass(frozen=True, slots=True)
class ReadPassage:
    """A passage with the answer read from it; `answer_start` and `answer_end` are characters of `text`.

    probability        the retriever's, among the passages read
    retrieval_utility  how many nats likelier the passage makes the answer than the null passage does (Guu Sec. 4.4);
                       None if the masked-token reader is not trained
    score              the reader's logit of the answer
    origin             where the line with the answer begins in the source; None where not known
    place              the same in words, such as "guide.md, line 120"; "" where not known
    """

    passage_id: str
    title: str
    text: str
    answer: str
    answer_start: int
    answer_end: int
    probability: float
    retrieval_utility: float | None
    score: float
    origin: Origin | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question: its text, the passage it cites, and the runners-up.

    text        "" if no answer was found: no passage holds one, or its confidence is below the threshold
    confidence  calibrated probability that the answer is right; None if the model is not calibrated

    >>> passage = ReadPassage("d1", "Peru", "Lima is the capital.", "Lima", 0, 4, 0.9, 2.5, 7.0)
    >>> answer = Answer("What is the capital of Peru?", "Lima", 7.0, passage)
    >>> answer.source.title, answer.retrieval_utility
    ('Peru', 2.5)
    """

    question: str
    text: str
    score: float
    source: ReadPassage | None
    runners_up: tuple[ReadPassage, ...] = field(default=())
    index_version: str = ""
    confidence: float | None = None

    @property
    def retrieval_utility(self) -> float | None:
        """How much the cited passage helped, in nats; 0, which is the null passage's, where none is cited."""
        return self.source.retrieval_utility if self.source is not None else 0.0
