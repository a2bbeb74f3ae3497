"""Passages for questions, without reading them: by vectors, by words, or by both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import torch

from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.places import place_of
from openrealm.corpus.sources import Source
from openrealm.engine import Engine
from openrealm.errors import BadInput
from openrealm.index.bm25 import Bm25
from openrealm.index.index import Index
from openrealm.model.realm import Realm
from openrealm.progress import warn
from openrealm.recipes.documents import MODEL
from openrealm.serve.opening import Opened, documents_in, searched_run
from openrealm.train.fusion import FusedFinder
from openrealm.train.spans import Bm25Finder, DenseFinder, PassageFinder, TokenizedQuestion, longest_question
from openrealm.types import Article, Retrieval, RetrievedPassage

EMPTY_QUESTION = "The question is empty; ask something like: Where is the library?"
_QUESTIONS_AT_ONCE = 16


class PassageSearch:
    """Finds the passages of a corpus that are likely to answer a question.

    >>> import openrealm as orm
    >>> search = orm.PassageSearch.from_documents("my_docs/", "asked/")
    >>> [passage.place for passage in search.search("Where is the library?", k=1).passages]
    ['village-library.md, line 16']
    """

    def __init__(
        self,
        model: Realm,
        corpus: Corpus,
        finder: PassageFinder,
        engine: Engine,
        *,
        source: str | Path | None = None,
    ) -> None:
        """Search as `finder` does, unless `search` is told otherwise.

        model   embeds questions with its query tower; is moved to the device of `engine` and put into evaluation mode
        source  the folder or file that the corpus was built from, to tell lines of files; see `place_of`
        """
        self._model, self._corpus, self._finder, self._engine, self._source = model, corpus, finder, engine, source
        self._index: Index | None = getattr(finder, "index", None)
        self._bm25: Bm25 | None = getattr(finder, "bm25", None)
        model.to(engine.device).eval()
        # As they are given by name; each is made when it is first used.
        self._makers = {"fused": self._fused, "dense": self._dense, "bm25": self._lexical}
        self._made: dict[str, PassageFinder] = {}

    @classmethod
    def open(cls, run_folder: str | Path, system: str | None = None) -> PassageSearch:
        """Load from a run what finds passages for its answers, or its towers before it can answer; nothing is written.

        system  a fine-tuned system, as `Answerer.open` takes it
        Raises as `Answerer.open` does, and MissingStage naming the command to run if there are no towers either.
        """
        return cls._of(searched_run(run_folder, system))

    @classmethod
    def from_documents(
        cls,
        source: str | Path | Source | Iterable[Article],
        folder: str | Path,
        *,
        model: str | Path | Realm = MODEL,
        skip_unreadable: bool = False,
        config: Config | None = None,
        embed: bool = True,
    ) -> PassageSearch:
        """Search documents as they are; arguments and errors as for `Answerer.from_documents`.

        model  one without a span reader will do, such as "openrealm-mini"
        embed  False leaves the passages without vectors, and finds them by their words

        >>> import openrealm as orm
        >>> search = orm.PassageSearch.from_documents("my_docs/", "asked/", embed=False)
        >>> [passage.title for passage in search.search("Which village has a library?", k=1).passages]
        ['The Village Library of Oberlind']
        """
        realm = model if isinstance(model, Realm) else Realm.from_pretrained(model)
        return cls._of(documents_in(source, folder, realm, skip_unreadable=skip_unreadable, config=config, embed=embed))

    @classmethod
    def _of(cls, opened: Opened) -> PassageSearch:
        return cls(opened.model, opened.corpus, opened.finder, opened.engine, source=opened.source)

    @overload
    def search(self, question: str, k: int = ..., *, by: str | None = ...) -> Retrieval: ...

    @overload
    def search(
        self, question: list[str] | tuple[str, ...], k: int = ..., *, by: str | None = ...
    ) -> list[Retrieval]: ...

    def search(
        self, question: str | list[str] | tuple[str, ...], k: int = 5, *, by: str | None = None
    ) -> Retrieval | list[Retrieval]:
        """The `k` best passages for a question, best first; a list of questions returns a list.

        by  "dense" for the vectors of the index, "bm25" for words, or "fused" for both with the weights of the model;
            None for the way in which passages to read are found
        A search by words finds no passage that shares none with the question. A question with more word pieces than the
        encoder reads beside a passage is cut, which is said on stderr.
        Raises BadInput if a question is empty, k is less than 1, or there is no such way of searching.
        """
        if k < 1:
            raise BadInput(f"k is {k}, but a search returns at least 1 passage.")
        asked = [self._tokenized(text) for text in ([question] if isinstance(question, str) else question)]
        name = by or _name_of(self._finder)
        finder = self._finder if by is None and name != "bm25" else self._named(name)
        found: list[Retrieval] = []
        for start in range(0, len(asked), _QUESTIONS_AT_ONCE):
            found += self._searched(asked[start : start + _QUESTIONS_AT_ONCE], k, name, finder)
        return found[0] if isinstance(question, str) else found

    def _tokenized(self, question: str) -> TokenizedQuestion:
        text = " ".join(question.split())
        return TokenizedQuestion(text, np.asarray(question_tokens(text, self._model, self._corpus), np.int64))

    @torch.inference_mode()
    def _searched(
        self, asked: Sequence[TokenizedQuestion], k: int, name: str, finder: PassageFinder
    ) -> list[Retrieval]:
        with self._engine.autocast():
            score_BK, id_BK = finder.find(self._model, self._corpus, asked, k)
        least = 0.0 if name == "bm25" else -torch.inf
        return [
            Retrieval(
                question.text,
                tuple(self._passage(i, score) for i, score in zip(ids, scores, strict=True) if score > least),
                name,
                finder.version,
            )
            for question, ids, scores in zip(asked, id_BK.tolist(), score_BK.float().tolist(), strict=True)
        ]

    def _passage(self, number: int, score: float) -> RetrievedPassage:
        passage = self._corpus.passage(number)
        return RetrievedPassage(
            passage_id=passage.id,
            title=passage.title,
            text=passage.text,
            article_id=passage.article_id,
            score=score,
            origin=self._corpus.origin(number),
            place=place_of(self._corpus, number, 0, self._source),
        )

    def _named(self, name: str) -> PassageFinder:
        if name not in self._makers:
            raise BadInput(f"There is no search by {name!r}; choose from {', '.join(self._makers)}.")
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def _dense(self) -> PassageFinder:
        return DenseFinder(self._vectors())

    def _lexical(self) -> PassageFinder:
        return Bm25Finder(self._words(), weight=1.0)

    def _fused(self) -> PassageFinder:
        if self._model.answering is None:
            raise BadInput(
                "This model has no weights for vectors and words together; choose 'dense' or 'bm25' to search by."
            )
        return FusedFinder(self._vectors(), self._words(), self._model.answering)

    def _vectors(self) -> Index:
        if self._index is None:
            raise BadInput("There is no index of vectors here; choose 'bm25' to search by.")
        return self._index

    def _words(self) -> Bm25:
        if self._bm25 is None:
            self._bm25 = Bm25.build(self._corpus)
        return self._bm25


def question_tokens(text: str, model: Realm, corpus: Corpus) -> list[int]:
    """The word pieces of a question, cut to what the encoder reads together with a passage.

    Raises BadInput if there are none. That a question is cut is said on stderr.
    """
    tokens, _ = corpus.tokenizer().encode(text)
    if not tokens:
        raise BadInput(EMPTY_QUESTION)
    most = longest_question(model, corpus)
    if len(tokens) > most:
        warn(
            f"The question has {len(tokens)} word pieces, and the encoder reads at most {most} together with a "
            "passage; the rest is left out."
        )
    return tokens[:most]


def _name_of(finder: PassageFinder) -> str:
    """How a finder searches, by the names that `PassageSearch.search` takes; "custom" for one of the user's."""
    if isinstance(finder, FusedFinder):
        if not finder.vector_weight:
            return "bm25"
        return "fused" if finder.answering.bm25_weight else "dense"
    if isinstance(finder, DenseFinder):
        return "dense"
    return "bm25" if isinstance(finder, Bm25Finder) else "custom"
