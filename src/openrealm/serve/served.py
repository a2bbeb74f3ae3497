"""One version of a system as it is served: a model, an index and a corpus that never change."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import torch

from openrealm.corpus.places import place_of
from openrealm.errors import BadInput
from openrealm.files import digest_of
from openrealm.model.state import digest_of_state
from openrealm.serve import schemas
from openrealm.serve.answerer import Answerer
from openrealm.serve.limits import Refused
from openrealm.types import Answer, Origin, Passage, ReadPassage, RetrievedPassage

_SHOWN_DIGITS = 12
_MAX_REMEMBERED = 1_024
_MAX_DAYS = 8


class Served:
    """A version of a system. Everything that it returns names it, and comes from it alone."""

    def __init__(self, answerer: Answerer, system: str) -> None:
        """Describe what `answerer` answers with; `system` is what clients call it."""
        self.answerer, self.system = answerer, system
        self.since = datetime.now(UTC)
        model, corpus = answerer.model, answerer.corpus
        digests = [digest_of_state(model), answerer.index_version, corpus.digest]
        answering = model.answering and dataclasses.asdict(model.answering)
        self.version = schemas.Version(
            id=digest_of([system, *digests, answering])[:_SHOWN_DIGITS],
            system=system,
            model=digests[0][:_SHOWN_DIGITS],
            index=answerer.index_version,
            corpus=corpus.digest[:_SHOWN_DIGITS],
        )
        self._remembered: OrderedDict[tuple[Any, ...], schemas.Answer] = OrderedDict()
        self._by_day: OrderedDict[str, Answerer] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def is_calibrated(self) -> bool:
        """Whether answers have a confidence, which a threshold can be set for."""
        return self.answerer.model.answering is not None

    @property
    def has_utility(self) -> bool:
        """Whether answers have a retrieval utility."""
        return not self.is_calibrated or self.answerer.model.has_trained_head

    def check(self, questions: Sequence[str], threshold: float | None = None, as_of: str | None = None) -> None:
        """Raise Refused (422) for what cannot be answered.

        That is a question without words, a threshold without a calibrated confidence, or a day on which nothing is
        valid.
        """
        if threshold is not None and not self.is_calibrated:
            raise Refused(422, "threshold: this model's confidence is not calibrated, so that no threshold can be set.")
        try:
            for question in questions:
                self.answerer.check(question)
            self._answerer_on(as_of)
        except BadInput as error:
            raise Refused(422, str(error)) from error

    def _answerer_on(self, day: str | None) -> Answerer:
        """What answers from the passages that are valid on a day; None stands for all passages."""
        if day is None:
            return self.answerer
        with self._lock:
            found = self._by_day.get(day)
        found = found or self.answerer.as_of(day)
        with self._lock:
            self._by_day[day] = found
            if len(self._by_day) > _MAX_DAYS:
                self._by_day.popitem(last=False)
        return found

    def remembered(
        self, question: str, k: int | None, threshold: float | None, as_of: str | None = None
    ) -> schemas.Answer | None:
        """The answer that this version gave to the same question before, if it is among the latest ones."""
        key = (" ".join(question.split()), k, threshold, as_of)
        with self._lock:
            if (found := self._remembered.get(key)) is not None:
                self._remembered.move_to_end(key)
            return found

    def ask(
        self, questions: Sequence[str], k: int | None, threshold: float | None, as_of: str | None = None
    ) -> list[schemas.Answer]:
        """Answers to questions; a question that stands there twice is answered once."""
        distinct = list(dict.fromkeys(questions))
        answers = self._answerer_on(as_of).ask(distinct, k=k, threshold=threshold)
        found = {question: self._answer(answer) for question, answer in zip(distinct, answers, strict=True)}
        with self._lock:
            for answer in found.values():
                self._remembered[(answer.question, k, threshold, as_of)] = answer
            while len(self._remembered) > _MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return [found[question] for question in questions]

    def search(self, questions: Sequence[str], k: int, as_of: str | None = None) -> list[schemas.Results]:
        """The best passages for each question."""
        return [
            schemas.Results(
                question=found.question,
                passages=[schemas.FoundPassage(**_fields(passage)) for passage in found.passages],
                by=found.by,
                index_version=found.index_version,
                version=self.version,
            )
            for found in self._answerer_on(as_of).search(list(questions), k)
        ]

    def embed(self, texts: Sequence[tuple[str, str]], kind: str) -> list[list[float]]:
        """Vectors of (title, text) pairs by the tower of `kind`, "query" or "passage"; titles of queries are unused."""
        model = self.answerer.model
        with torch.inference_mode():
            if kind == "query":
                vectors = model.encode_query([text for _, text in texts])
            else:
                vectors = model.encode_passage([(title, text) if title else text for title, text in texts])
        found: list[list[float]] = vectors.tolist()
        return found

    def num_tokens(self, texts: Sequence[str]) -> int:
        """Word pieces of texts."""
        return sum(len(ids) for ids, _ in self.answerer.model.tokenizer.encode_batch(list(texts)))

    def passage(self, passage_id: str) -> schemas.StoredPassage:
        """A passage of the corpus. Raises Refused (404) if there is none of this id."""
        number = self._number_of(passage_id)
        passage, corpus = self.answerer.corpus.passage(number), self.answerer.corpus
        return schemas.StoredPassage(
            passage_id=passage.id,
            title=passage.title,
            text=passage.text,
            article_id=passage.article_id,
            start=passage.start,
            end=passage.end,
            origin=_origin(corpus.origin(number)),
            place=self._place(number),
            version=self.version,
        )

    def around(self, passage_id: str, num_around: int) -> schemas.Around:
        """The passages of an article before and after one of them, at most `num_around` on either side."""
        number, corpus = self._number_of(passage_id), self.answerer.corpus
        article, articles = corpus.article_index(number), corpus.articles
        first, last = number, number
        while first > max(0, number - num_around) and articles[first - 1] == article:
            first -= 1
        while last < min(len(corpus) - 1, number + num_around) and articles[last + 1] == article:
            last += 1
        passages = {i: corpus.passage(i) for i in range(first, last + 1)}
        return schemas.Around(
            article_id=passages[number].article_id,
            title=passages[number].title,
            passages=[self._piece(i, passage, is_cited=i == number) for i, passage in passages.items()],
            has_more_before=first > 0 and bool(articles[first - 1] == article),
            has_more_after=last + 1 < len(corpus) and bool(articles[last + 1] == article),
            version=self.version,
        )

    def _piece(self, number: int, passage: Passage, *, is_cited: bool) -> schemas.Piece:
        return schemas.Piece(
            passage_id=passage.id,
            text=passage.text,
            start=passage.start,
            end=passage.end,
            place=self._place(number),
            is_cited=is_cited,
        )

    def _place(self, number: int) -> str:
        return place_of(self.answerer.corpus, number, 0, self.answerer.source)

    def _number_of(self, passage_id: str) -> int:
        number = self.answerer.corpus.number_of(passage_id)
        if number is None:
            raise Refused(404, f"The corpus of version {self.version.id} has no passage {passage_id}.")
        return number

    def _answer(self, answer: Answer) -> schemas.Answer:
        return schemas.Answer(
            question=answer.question,
            text=answer.text,
            found=answer.text != "",
            confidence=answer.confidence,
            score=answer.score,
            source=None if answer.source is None else schemas.ReadPassage(**_fields(answer.source)),
            runners_up=[schemas.ReadPassage(**_fields(passage)) for passage in answer.runners_up],
            index_version=answer.index_version,
            version=self.version,
        )


def _fields(passage: ReadPassage | RetrievedPassage) -> dict[str, Any]:
    values = {field.name: getattr(passage, field.name) for field in dataclasses.fields(passage)}
    return values | {"origin": _origin(passage.origin)}


def _origin(origin: Origin | None) -> schemas.Origin | None:
    return None if origin is None else schemas.Origin(**origin._asdict())
