"""Fine-tuning on questions with a fixed index: query tower and span reader are trained (ORQA, Lee et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.errors import BadInput
from openrealm.index.index import Index
from openrealm.model import marginal
from openrealm.model.realm import Realm
from openrealm.recipes.small import small_encoder
from openrealm.train.answers import AnswerFinder, finetune_fingerprint
from openrealm.train.examples import Order
from openrealm.train.optimizer import peak_rates
from openrealm.train.spans import DenseFinder, PassageFinder, SpanScores, read_spans, tokenize
from openrealm.train.task import Log, ParameterGroup, Row, Schedule, Task
from openrealm.train.trainer import Trainer
from openrealm.types import Question


class OpenQA(Task[list[int]]):
    """Trains retrieval of passages that contain the answer, and extraction of the answer as a span of a passage.

    >>> import openrealm as orm
    >>> corpus = orm.Corpus.build("my_docs/", "corpus/")
    >>> model = orm.Realm.from_pretrained("openrealm-mini")
    >>> questions = [orm.Question("Where is the library?", ("the old mill",))]
    >>> openqa = orm.tasks.OpenQA(corpus, orm.Index.build(model, corpus), questions)
    >>> outcome = orm.Trainer(model, openqa, "training/", num_steps=1).train()
    >>> sorted(outcome.recent)[:3]
    ['early_loss', 'no_positive', 'num_skipped']
    """

    name: ClassVar[str] = "openqa"
    splits_batches: ClassVar[bool] = True

    def __init__(
        self,
        corpus: Corpus,
        index: Index | None,
        questions: Sequence[Question],
        *,
        finder: PassageFinder | None = None,
        config: Config | None = None,
        **settings: Any,
    ) -> None:
        """Tokenize the questions and find the passages that contain their answers.

        index      built with the model's passage tower; it is not changed
        finder     another way to find passages, such as `Bm25Finder`; `index` may then be None
        config     settings; None means those of the recipe small-encoder for a corpus of this size
        settings   fields of `FinetuneConfig` that override `config`
        Raises BadInput if there is no question, or neither an index nor a finder, BadConfig for an unknown setting.
        """
        config = small_encoder(len(corpus)) if config is None else config
        self.config = config.replace(finetune=config.finetune.replace(**settings))
        self.settings = self.config.finetune
        if not questions:
            raise BadInput("There are no questions to train on; give at least one.")
        if finder is None:
            if index is None:
                raise BadInput("OpenQA needs an index or a finder; pass Index.build(model, corpus), for example.")
            finder = DenseFinder(index)
        self.corpus, self.index, self.finder = corpus, index, finder
        self.questions = list(questions)
        self._answers = AnswerFinder(corpus, self.config.max_regex_seconds)
        longest = self.settings.max_query_tokens - 2
        self._tokenized = tokenize([question.text for question in questions], corpus.tokenizer(), longest)
        self._order = Order(range(len(questions)), self.config.seed)
        self.schedule = Schedule.from_settings(self.settings)

    def setup(self, trainer: Trainer) -> None:
        """Freeze the passage tower, separate the query tower from it, and add a span reader if there is none.

        Raises Mismatch if the index was not built with the model's passage tower.
        """
        super().setup(trainer)
        model: Realm = trainer.model
        if self.index is not None:
            self.index.check(model, self.corpus)
        model.retriever.requires_grad_(False)
        if self.finder.trains_retriever and self.settings.train_query_tower:
            model.retriever.untie()
            tower = model.retriever.query_tower
            tower.requires_grad_(True)
            if self.config.model.freeze_embeddings:
                tower.encoder.backbone.get_input_embeddings().requires_grad_(False)  # type: ignore[operator]
        if model.span_reader is None:
            model.add_span_reader().to(trainer.engine.device)

    def parameter_groups(self, model: Realm) -> list[ParameterGroup]:
        """The span head with the finder's parameters, the span reader's encoder, and the query tower."""
        span_reader = model.span_reader
        assert span_reader is not None, "setup adds the span reader"
        rate, head_rate, tower_rate = peak_rates(self.settings)
        span_head = [p for n, p in span_reader.named_parameters() if not n.startswith("encoder.")]
        return [
            ([*span_head, *self.finder.parameters()], head_rate),
            (span_reader.parameters(), rate),
            (model.retriever.parameters(), tower_rate),
        ]

    def batch(self, step: int, rank: int = 0, num_ranks: int = 1) -> list[int]:
        """Indices of the questions of a step, a function of seed, step and rank."""
        return self._order.take(step * self.settings.batch_size, self.settings.batch_size)[rank::num_ranks]

    def losses(self, model: Realm, batch: list[int], log: Log) -> Iterator[Tensor]:
        """L_reader + L_early in nats, mean over questions; each is 0 for a question without a positive."""
        settings = self.settings
        asked, tokenized = [self.questions[i] for i in batch], [self._tokenized[i] for i in batch]
        weight = self.trainer.ranks.weight(len(batch))
        if not batch:
            return
        num_early = max(settings.early_candidates, settings.num_candidates)
        with self.trainer.engine.autocast():
            score_BE, id_BE = self.finder.find(model, self.corpus, tokenized, num_early)
            num_read = min(settings.num_candidates, id_BE.shape[1])
            scores = read_spans(model, self.corpus, tokenized, score_BE[:, :num_read], id_BE[:, :num_read], settings)
        early = self.finder.trains_retriever
        reader_B, early_B = openqa_losses(scores, score_BE, id_BE, asked, self._answers, early=early)
        log |= {
            "reader_loss": weight * float(reader_B.detach().mean()),
            "early_loss": weight * float(early_B.detach().mean()),
            "no_positive": weight * float((reader_B.detach() == 0).float().mean()),
        }
        yield weight * (reader_B + early_B).mean()

    def note(self, row: Row) -> str:
        """Reader and early loss."""
        return f"reader {row['reader_loss']:.2f}, early {row['early_loss']:.2f}" if "reader_loss" in row else ""

    def fingerprint(self) -> Any:
        """Settings, questions, corpus and index."""
        index = self.index and self.index.binding.encoder
        return [*finetune_fingerprint(self.config, self.corpus, self.questions), index]

    def state(self) -> dict[str, Any]:
        """What the finder has learned."""
        return self.finder.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what the finder had learned."""
        self.finder.load_state(state)


def openqa_losses(
    scores: SpanScores,
    score_BE: Tensor,
    id_BE: Tensor,
    questions: Sequence[Question],
    answers: AnswerFinder,
    *,
    early: bool,
) -> tuple[Tensor, Tensor]:
    """L_reader and L_early of a batch (Lee et al. 2019, Sec. 4 and 6).

    scores    of the spans in the passages read
    score_BE  retrieval scores of the E passages of the early loss
    id_BE     their numbers
    early     whether to compute the early loss; zeros otherwise
    Returns B losses each, in nats, 0 for a question without a positive.
    """
    num_widths = scores.span_BKPW.shape[3]
    correct_BKPW = torch.zeros(scores.span_BKPW.shape, dtype=torch.bool)
    has_answer_BE = torch.zeros(id_BE.shape, dtype=torch.bool)
    for b, question in enumerate(questions):
        sought = answers.sought(question)
        for k, passage in enumerate(scores.id_BK[b].tolist()):
            for first, width in answers.correct_spans(passage, sought, num_widths):
                if first < correct_BKPW.shape[2]:
                    correct_BKPW[b, k, first, width] = True
        positive = torch.tensor(sorted(answers.passages_for(question)), dtype=torch.long)
        has_answer_BE[b] = torch.isin(id_BE[b], positive)
    device = score_BE.device
    reader_B = marginal.span_reader_loss(
        scores.span_BKPW.flatten(2), correct_BKPW.flatten(2).to(device), scores.valid_BKPW.flatten(2), scores.score_BK
    )
    early_B = marginal.early_loss(score_BE, has_answer_BE.to(device)) if early else torch.zeros_like(reader_B)
    return reader_B, early_B
