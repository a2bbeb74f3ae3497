"""A finished run as a function: question -> answer with the passage it was read from. Pure but for loading."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.errors import BadInput
from openrealm.model import marginal
from openrealm.model.realm import Realm
from openrealm.run import artefacts
from openrealm.run.folder import Run
from openrealm.run.systems import SYSTEMS
from openrealm.train.layout import NULL, Layout
from openrealm.train.openqa import DenseSource, Found, Source, answer_all
from openrealm.types import Answer, Question, ReadPassage


class Service:
    """Model, index and corpus of one fine-tuned system, loaded once."""

    def __init__(
        self, config: Config, model: Realm, corpus: Corpus, source: Source, engine: Engine, index_version: str
    ) -> None:
        self._settings, self._max_joint_tokens = config.finetune, config.pretrain.max_joint_tokens
        self._model, self._corpus, self._source, self._engine = model, corpus, source, engine
        self._layout = Layout(corpus, title_in_joint=config.model.title_in_joint)
        self._tokenizer = corpus.tokenizer()
        self.index_version = index_version
        model.eval()

    @classmethod
    def open(cls, run_folder: Path, system: str = "realm") -> Service:
        """Load a fine-tuned system of a run; nothing is written.

        Raises MissingStage naming the command to run first, Mismatch or DamagedArtefact for what does not belong.
        """
        readers = [name for name, entry in SYSTEMS.items() if entry.reads_passages]
        if system not in readers:
            raise BadInput(f"There is no system {system!r} that reads passages; choose from {', '.join(readers)}.")
        run, entry = Run.open(run_folder), SYSTEMS[system]
        corpus, engine = artefacts.open_corpus(run), artefacts.engine_of(run)
        model = artefacts.open_model(run, entry.stage)
        if entry.retriever == "bm25":
            return cls(run.config, model, corpus, artefacts.open_retriever(run, entry, model), engine, "bm25")
        version = artefacts.open_index(run, artefacts.binding_of(model, corpus), entry.start)
        layout = Layout(corpus, title_in_joint=run.config.model.title_in_joint)
        source = DenseSource(model, version.vector_ND, layout, run.config.finetune.max_query_tokens)
        return cls(run.config, model, corpus, source, engine, version.name)

    def ask(self, question: str) -> Answer:
        """The best answer, the passage it was read from, and the best spans of the other passages read.

        p(z|x) is renormalised over the passages read. RU(z|x) = log p(y|z,x) - log p(y|null,x), in nats, with y the
        passage's own answer: how much likelier the masked-token reader finds it with the passage beside the question.
        Raises BadInput for a question that is empty or longer than what is read of one.
        """
        text = " ".join(question.split())
        tokens = self._checked(text)
        num_read = self._settings.num_candidates
        found = answer_all(
            self._model,
            self._layout,
            self._source,
            [Question(text, ())],
            self._settings,
            self._engine,
            num_retrieved=num_read,
        )[0][0]
        if not found:
            return Answer(text, "", 0.0, None, (), self.index_version)
        first, *others = self._read_passages(tokens, found)
        return Answer(text, first.answer, first.score, first, tuple(others), self.index_version)

    def _checked(self, text: str) -> list[int]:
        tokens, _ = self._tokenizer.encode(text)
        if not tokens:
            raise BadInput("The question is empty; ask something such as: Where is the library?")
        most = self._settings.max_query_tokens - 2
        if len(tokens) > most:
            raise BadInput(
                f"The question has {len(tokens)} word pieces, and only {most} can be read "
                "(finetune.max_query_tokens); ask it in fewer words."
            )
        return tokens

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
                )
            )
        return out

    def _utilities(self, tokens: Sequence[int], found: Sequence[Found]) -> list[float]:
        """RU of every passage for its own answer: the question and as many masks as the answer has word pieces."""
        rows, places, gold = [], [], []
        for one in found:
            answer = self._pieces(one)
            query = [*tokens, *[self._layout.specials.mask] * len(answer)]
            for passage in (NULL, one.passage):
                rows.append(self._layout.joint(query, passage, self._max_joint_tokens)[0])
                places.append([1 + len(tokens) + j for j in range(len(answer))])
                gold.append(answer)
        with self._engine.autocast():
            logp_nJ = self._model.reader.gold_log_prob(rows, places, gold).float()
        gold_logp_K2J = logp_nJ.view(len(found), 2, -1)
        is_real_KJ = torch.arange(gold_logp_K2J.shape[2]) < torch.tensor([[len(row)] for row in gold[::2]])
        utility_K2 = marginal.utility_BK(gold_logp_K2J, is_real_KJ.to(logp_nJ.device))
        return [float(value) for value in utility_K2[:, 1]]

    def _pieces(self, one: Found) -> list[int]:
        """The word pieces of an answer as they stand in its passage."""
        ids = self._corpus.body_tokens(one.passage).tolist()
        offsets = self._corpus.token_offsets(one.passage).tolist()
        return [
            piece for piece, (start, end) in zip(ids, offsets, strict=True) if one.start <= start and end <= one.end
        ]
