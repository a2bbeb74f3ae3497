"""Warm start: towers by the Inverse Cloze Task, the reader's head by masked words with the right passage beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from openrealm.config import Config, WarmStartConfig
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.index.bm25 import Bm25
from openrealm.model.realm import Realm
from openrealm.progress import track
from openrealm.train import metrics
from openrealm.train.examples import Example, MaskedExamples
from openrealm.train.guard import Guard
from openrealm.train.ict import InverseCloze
from openrealm.train.layout import NULL, Layout
from openrealm.train.optimizer import adam, rate_factor, set_rate

_NUM_RELATED = 5


def masked_word_loss(
    model: Realm, layout: Layout, examples: Sequence[Example], beside: Sequence[int], max_tokens: int
) -> Tensor:
    """-log p of the masked tokens, mean over tokens, each query read with the passage that `beside` gives it."""
    rows = [layout.joint(e.query, passage, max_tokens)[0] for e, passage in zip(examples, beside, strict=True)]
    logp_nJ = model.reader.gold_log_prob(
        rows, [[p + 1 for p in e.positions] for e in examples], [list(e.gold) for e in examples]
    )
    return -logp_nJ.sum() / sum(len(e.positions) for e in examples)


class Beside:
    """What the reader sees beside a masked query: its own passage, a related one, or the null passage.

    Its own teaches to copy; a related one (by BM25 with the answer known, its own blocked) teaches to find the answer
    in other words, and when not to copy; the null passage keeps the language model.
    """

    def __init__(self, corpus: Corpus, settings: WarmStartConfig) -> None:
        self._corpus, self._settings = corpus, settings
        passages = map(corpus.passage, range(corpus.num_passages) if settings.related_rate else ())
        texts = [f"{p.title} {p.text}" for p in passages]
        self._bm25 = Bm25(texts) if texts else None

    def choose(self, examples: Sequence[Example], rng: np.random.Generator) -> list[int]:
        """A passage number for each example."""
        draws = rng.random(len(examples))
        own, related = self._settings.passage_rate, self._settings.related_rate
        beside = [example.passage if draw < own else NULL for example, draw in zip(examples, draws, strict=True)]
        wanting = [n for n, draw in enumerate(draws) if own <= draw < own + related]
        if self._bm25 is not None and wanting:
            texts = [self._corpus.tokenizer().decode(examples[n].original.tolist()) for n in wanting]
            for n, row in zip(wanting, self._bm25.search(texts, _NUM_RELATED)[1].tolist(), strict=True):
                group = self._corpus.group(examples[n].passage)
                others = [passage for passage in row if self._corpus.group(passage) != group]
                beside[n] = others[int(rng.integers(len(others)))] if others else NULL
        return beside


def start_from_unigrams(model: Realm, corpus: Corpus) -> None:
    """Set the head's bias to the log frequency of each word piece: what a head would otherwise learn first."""
    num_V = np.zeros(model.tokenizer.vocab_size)
    for passage in range(corpus.num_passages):
        np.add.at(num_V, corpus.body_tokens(passage), 1)
    logp_V = np.log((num_V + 0.5) / (num_V + 0.5).sum())
    model.reader.head.bias.data.copy_(torch.from_numpy(logp_V))


def warm_start(config: Config, model: Realm, corpus: Corpus, engine: Engine, folder: Path) -> dict[str, float]:
    """Train towers and reader head; metrics go to `folder`/metrics.jsonl. Returns the last means of both losses."""
    settings = config.warm_start
    torch.manual_seed(config.seed)
    tasks = _Tasks.of(config, model, corpus, engine)
    if not model.brings_head:
        start_from_unigrams(model, corpus)
    optimizer = _optimizer(model, settings)
    guard = Guard([*model.reader.parameters(), *model.retriever.parameters()], settings.clip_norm)
    metrics.start_over(folder)
    recent: list[dict[str, float]] = []
    model.train()
    with track("warm start", settings.num_steps) as advance:
        for step in range(settings.num_steps):
            set_rate(optimizer, rate_factor(step, settings.num_steps, settings.warmup_steps))
            rng = np.random.default_rng([config.seed, 5, step])
            row = tasks.ict.backward(model, engine, step, settings.ict_batch) if settings.ict_batch else {}
            row |= tasks.masked_words(step, rng) if settings.mlm_batch else {}
            guard.step(optimizer, row.get("ict_loss", 0.0) + row.get("mlm_loss", 0.0), step)
            metrics.append(folder, step + 1, row)
            recent = [*recent[-19:], row]
            advance(1, ", ".join(f"{k} {v:.2f}" for k, v in row.items()))
    model.eval()
    return {key: sum(r[key] for r in recent) / len(recent) for key in (recent[0] if recent else {})}


def _optimizer(model: Realm, settings: WarmStartConfig) -> torch.optim.AdamW:
    head_rate = settings.learning_rate if settings.head_learning_rate is None else settings.head_learning_rate
    tower_rate = settings.learning_rate if settings.tower_learning_rate is None else settings.tower_learning_rate
    return adam(
        [
            (model.reader.head.parameters(), head_rate),
            (model.reader.parameters(), settings.learning_rate),
            (model.retriever.parameters(), tower_rate),
        ],
        settings.weight_decay,
    )


@dataclass(frozen=True, slots=True)
class _Tasks:
    """Both tasks of the warm start: each does one forward and backward pass and returns its measures."""

    config: Config
    model: Realm
    corpus: Corpus
    layout: Layout
    examples: MaskedExamples
    ict: InverseCloze
    beside: Beside
    engine: Engine

    @classmethod
    def of(cls, config: Config, model: Realm, corpus: Corpus, engine: Engine) -> _Tasks:
        pretrain = config.pretrain
        num_query_tokens = pretrain.max_query_tokens - 2
        examples = MaskedExamples(corpus, config.masking, num_query_tokens, pretrain.num_heldout_queries, config.seed)
        layout = Layout(corpus, title_in_joint=config.model.title_in_joint)
        return cls(
            config,
            model,
            corpus,
            layout,
            examples,
            InverseCloze(config, corpus, layout),
            Beside(corpus, config.warm_start),
            engine,
        )

    def masked_words(self, step: int, rng: np.random.Generator) -> dict[str, float]:
        settings = self.config.warm_start
        batch = self.examples.batch(step, settings.mlm_batch)
        beside = self.beside.choose(batch, rng)
        with self.engine.autocast():
            loss = masked_word_loss(self.model, self.layout, batch, beside, self.config.pretrain.max_joint_tokens)
        loss.backward()  # type: ignore[no-untyped-call]
        return {"mlm_loss": float(loss.detach())}
