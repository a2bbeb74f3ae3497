"""`Answerer`: a fine-tuned model as a function from questions to answers that cite a passage."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import overload

import torch

from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.places import place_of
from openrealm.corpus.sources import Source
from openrealm.corpus.validity import day_of
from openrealm.engine import Engine, engine_for
from openrealm.errors import BadInput, MissingStage
from openrealm.index.index import Index
from openrealm.model import marginal
from openrealm.model.realm import Realm
from openrealm.recipes.documents import MODEL, documents
from openrealm.recipes.small import small_encoder
from openrealm.serve.opening import Opened, answering_run, documents_in, finder_in
from openrealm.serve.search import EMPTY_QUESTION, PassageSearch, question_tokens
from openrealm.train.spans import Found, PassageFinder, answer_all, confidence_scores, joint_tokens
from openrealm.types import NULL, Answer, Article, Question, ReadPassage, Retrieval


class Answerer:
    """Answers questions from a corpus and cites the passage used.

    >>> import openrealm as orm
    >>> corpus = orm.Corpus.build("my_docs/", "corpus/")
    >>> model = orm.Realm.from_pretrained("openrealm-mini")
    >>> index = orm.Index.build(model, corpus)
    >>> questions = [orm.Question("Where is the library?", ("the old mill",))]
    >>> outcome = orm.Trainer(model, orm.tasks.OpenQA(corpus, index, questions), "training/", num_steps=2).train()
    >>> answerer = orm.Answerer(model, corpus, index)
    >>> answer = answerer.ask("Where is the library?")
    >>> answer.text in answer.source.text
    True
    >>> [a.question for a in answerer.ask(["Who bakes?", "Who teaches?"])]
    ['Who bakes?', 'Who teaches?']
    """

    def __init__(
        self,
        model: Realm,
        corpus: Corpus,
        index: Index | None = None,
        *,
        finder: PassageFinder | None = None,
        config: Config | None = None,
        engine: Engine | None = None,
        source: str | Path | None = None,
    ) -> None:
        """Check the parts, move the model to its device and put it into evaluation mode.

        model   fine-tuned on `OpenQA`, so that it has a span reader
        index   built with the model's passage tower; a model that answers as it is searches it beside BM25
        finder  another way to find passages, such as `Bm25Finder`; `index` may then be None
        config  settings; None means those of `openrealm ask --corpus` for a model that answers as it is, and those of
                `openrealm run` for a corpus of this size otherwise
        engine  device and precision; None chooses them to suit the hardware
        source  the folder or file that the corpus was built from, to tell lines of files; see `place_of`
        Raises MissingStage if the model has no span reader, BadInput if there is neither an index nor a finder,
        Mismatch if the index was not built with this model and corpus.
        """
        if config is None:
            config = small_encoder(len(corpus)) if model.answering is None else documents()
        if model.span_reader is None:
            raise MissingStage(
                "This model has no span reader to answer questions with; train it on openrealm.tasks.OpenQA first."
            )
        self._config, self._settings, self._joint = config, config.finetune, config.pretrain
        if finder is None:
            if index is None:
                raise BadInput("Answerer needs an index or a finder; pass Index.build(model, corpus), for example.")
            index.check(model, corpus)
            finder = finder_in(index, corpus, model)
        self._model, self._corpus, self._finder, self._source = model, corpus, finder, source
        self._engine = engine or engine_for(config)
        self.index_version = finder.version
        self._search = PassageSearch(model, corpus, finder, self._engine, source=source)

    @property
    def model(self) -> Realm:
        """The model that reads the passages."""
        return self._model

    @property
    def corpus(self) -> Corpus:
        """The passages that are searched."""
        return self._corpus

    @property
    def source(self) -> str | Path | None:
        """The folder or file that the corpus was built from, if it was given."""
        return self._source

    @classmethod
    def from_documents(
        cls,
        source: str | Path | Source | Iterable[Article],
        folder: str | Path,
        *,
        model: str | Path | Realm = MODEL,
        skip_unreadable: bool = False,
        config: Config | None = None,
    ) -> Answerer:
        """Answer questions about documents as they are, without training.

        The corpus and its index are kept in `folder`, and made again when documents, model or settings have changed.

        source           a folder of documents, a file, a `Source` or articles; see `Corpus.build`
        model            one that answers as it is: "openrealm-qa", a folder, a hub id, or a `Realm` with a span reader
        skip_unreadable  skip and count files that cannot be read instead of stopping
        config           settings for reading the documents (all of `corpus` but `source`) and for answering; None means
                         those of `openrealm ask --corpus`
        Raises BadInput when the source does not exist or holds no text, or `folder` holds anything else; MissingStage
        if the model has no span reader; Busy when another process is making the same corpus.

        >>> import openrealm as orm
        >>> answerer = orm.Answerer.from_documents("my_docs/", "asked/")
        >>> answer = answerer.ask("Where is the library?")
        >>> answer.source.title
        'The Village Library of Oberlind'
        """
        realm = model if isinstance(model, Realm) else Realm.from_pretrained(model)
        name = "This model" if isinstance(model, Realm) else str(model)
        if realm.span_reader is None:
            raise MissingStage(f"{name} has no span reader to answer with; use {MODEL!r}, or train one on OpenQA.")
        return cls._of(documents_in(source, folder, realm, skip_unreadable=skip_unreadable, config=config))

    @classmethod
    def open(cls, run_folder: str | Path, system: str | None = None) -> Answerer:
        """Load from a run what answers best or a fine-tuned system; nothing is written.

        While the run is rebuilt, the system before that answers.

        system  a fine-tuned system that reads passages, such as "realm" or "bm25"; None takes what the run found to
                answer best, or "realm" if the run was not measured
        Raises BadInput for another system, MissingStage naming the command to run first, Mismatch if settings have
        changed since, DamagedArtefact.
        """
        return cls._of(answering_run(run_folder, system))

    @classmethod
    def _of(cls, opened: Opened) -> Answerer:
        return cls(
            opened.model,
            opened.corpus,
            finder=opened.finder,
            config=opened.config,
            engine=opened.engine,
            source=opened.source,
        )

    @overload
    def ask(self, question: str, *, threshold: float | None = ..., k: int | None = ...) -> Answer: ...

    @overload
    def ask(
        self, question: list[str] | tuple[str, ...], *, threshold: float | None = ..., k: int | None = ...
    ) -> list[Answer]: ...

    def ask(
        self, question: str | list[str] | tuple[str, ...], *, threshold: float | None = None, k: int | None = None
    ) -> Answer | list[Answer]:
        """The best answer with its passage, and the best spans of the other passages read.

        A list of questions returns a list of answers. `probability` is p(z|x), renormalised over the passages read.
        `retrieval_utility` is RU(z|x) = log p(y|z,x) - log p(y|null,x) in nats (Guu et al. 2020, Sec. 4.4), where y is
        the passage's best span: how much more likely the passage makes it for the masked-token reader.
        `threshold` is the least confidence, 0 to 1, at which an answer is given; None means the model's own.
        `k` is the number of passages to read, at most all of the corpus; None means that of the settings.
        A question with more word pieces than the encoder reads beside a passage is cut, which is said on stderr.
        Raises BadInput if a question is empty, or a threshold is given to a model without calibrated confidence,
        or if k is less than 1.
        """
        if threshold is not None and self._model.answering is None:
            raise BadInput("This model's confidence is not calibrated, so that no threshold can be set.")
        if isinstance(question, str):
            return self._ask([question], threshold, k)[0]
        return self._ask(question, threshold, k)

    @overload
    def search(self, question: str, k: int = ..., *, by: str | None = ...) -> Retrieval: ...

    @overload
    def search(
        self, question: list[str] | tuple[str, ...], k: int = ..., *, by: str | None = ...
    ) -> list[Retrieval]: ...

    def search(
        self, question: str | list[str] | tuple[str, ...], k: int = 5, *, by: str | None = None
    ) -> Retrieval | list[Retrieval]:
        """The `k` best passages for a question, without reading them; see `PassageSearch.search`.

        >>> import openrealm as orm
        >>> answerer = orm.Answerer.from_documents("my_docs/", "asked/")
        >>> [passage.title for passage in answerer.search("Where is the library?", k=1).passages]
        ['The Village Library of Oberlind']
        """
        return self._search.search(question, k, by=by)

    def as_of(self, day: str | date) -> Answerer:
        """An answerer that finds only the passages that are valid on a day, such as "2019-06-01".

        The model and the index are shared. A passage is valid on every day if its article has no dates; see
        `Article.valid_from`. Raises BadInput for what is no date, if no passage is valid on that day, or if passages
        are found in a way of your own that has no method `restricted`, as `DenseFinder` has.

        >>> import openrealm as orm
        >>> articles = [
        ...     orm.Article("1", "The mayor", "Ann Miller is the mayor of Oberlind.", valid_to="2019-05-31"),
        ...     orm.Article("2", "The mayor", "Bob Weaver is the mayor of Oberlind.", valid_from="2019-06-01"),
        ... ]
        >>> answerer = orm.Answerer.from_documents(articles, "asked_articles/")
        >>> for day in ("2018-01-01", "2019-06-01"):
        ...     answerer.as_of(day).ask("Who is the mayor of Oberlind?").source.text
        'Ann Miller is the mayor of Oberlind.'
        'Bob Weaver is the mayor of Oberlind.'
        """
        wanted = day_of(day) if isinstance(day, str) else day
        is_valid_N = self._corpus.is_valid_on(wanted)
        if is_valid_N.all():
            return self
        if not is_valid_N.any():
            raise BadInput(f"No passage is valid on {wanted}; choose a day on which some are.")
        restricted = getattr(self._finder, "restricted", None)
        if restricted is None:
            raise BadInput("These passages are found in a way that cannot be restricted to a day.")
        return Answerer(
            self._model,
            self._corpus,
            finder=restricted(is_valid_N),
            config=self._config,
            engine=self._engine,
            source=self._source,
        )

    def check(self, question: str) -> None:
        """Raise BadInput if a question holds no words."""
        if not self._corpus.tokenizer().encode(question)[0]:
            raise BadInput(EMPTY_QUESTION)

    def _ask(self, questions: Sequence[str], threshold: float | None, k: int | None) -> list[Answer]:
        if k is not None and k < 1:
            raise BadInput(f"k is {k}, but at least one passage must be read.")
        settings = (
            self._settings if k is None else dataclasses.replace(self._settings, num_candidates=k, early_candidates=0)
        )
        texts = [" ".join(question.split()) for question in questions]
        tokens = [question_tokens(text, self._model, self._corpus) for text in texts]
        found, _ = answer_all(
            self._model,
            self._corpus,
            self._finder,
            [Question(text, ()) for text in texts],
            settings,
            self._engine,
            num_retrieved=settings.num_candidates,
        )
        return [self._answer(*each, threshold) for each in zip(texts, tokens, found, strict=True)]

    def _answer(self, text: str, tokens: Sequence[int], found: Sequence[Found], threshold: float | None) -> Answer:
        if not found:
            return Answer(text, "", 0.0, None, (), self.index_version)
        first, *others = self._read_passages(tokens, found)
        confidence, answer = None, first.answer
        if (answering := self._model.answering) is not None:
            confidence = answering.confidence(*confidence_scores(found))
            if confidence < (answering.threshold if threshold is None else threshold):
                answer = ""
        return Answer(text, answer, first.score, first, tuple(others), self.index_version, confidence)

    @torch.inference_mode()
    def _read_passages(self, tokens: Sequence[int], found: Sequence[Found]) -> list[ReadPassage]:
        score_K = torch.tensor([one.retrieval_score for one in found])
        utilities = self._utilities(tokens, found)
        out = []
        for one, probability, utility in zip(found, score_K.softmax(dim=0).tolist(), utilities, strict=True):
            passage = self._corpus.passage(one.passage)
            out.append(
                ReadPassage(
                    passage_id=passage.id,
                    title=passage.title,
                    text=passage.text,
                    answer=one.text,
                    answer_start=one.start,
                    answer_end=one.end,
                    probability=probability,
                    retrieval_utility=utility,
                    score=one.logit,
                    origin=self._corpus.origin(one.passage, one.start),
                    place=place_of(self._corpus, one.passage, one.start, self._source),
                )
            )
        return out

    def _utilities(self, tokens: Sequence[int], found: Sequence[Found]) -> Sequence[float | None]:
        """Retrieval utility of each passage for its best span, read as masks that follow the question."""
        if self._model.answering is not None and not self._model.has_trained_head:
            return [None] * len(found)
        rows, positions, gold = [], [], []
        with_title = self._model.config.title_in_joint
        for one in found:
            answer = self._pieces(one)
            query = [*tokens, *[self._corpus.specials.mask] * len(answer)]
            longest = joint_tokens(
                self._model, self._corpus, len(query), self._joint.max_query_tokens, self._joint.max_joint_tokens
            )
            for passage in (NULL, one.passage):
                row, _ = self._corpus.joint_row(query, passage, longest, with_title=with_title)
                rows.append(row)
                positions.append([1 + len(tokens) + j for j in range(len(answer))])
                gold.append(answer)
        with self._engine.autocast():
            logp_nJ = self._model.reader.gold_log_prob(rows, positions, gold).float()
        gold_logp_K2J = logp_nJ.view(len(found), 2, -1)
        is_real_KJ = torch.arange(gold_logp_K2J.shape[2]) < torch.tensor([[len(row)] for row in gold[::2]])
        utility_K2 = marginal.utility_BK(gold_logp_K2J, is_real_KJ.to(logp_nJ.device))
        return [float(value) for value in utility_K2[:, 1]]

    def _pieces(self, one: Found) -> list[int]:
        """The word pieces of an answer in its passage."""
        ids = self._corpus.body_tokens(one.passage).tolist()
        offsets = self._corpus.token_offsets(one.passage).tolist()
        return [
            piece for piece, (start, end) in zip(ids, offsets, strict=True) if one.start <= start and end <= one.end
        ]
