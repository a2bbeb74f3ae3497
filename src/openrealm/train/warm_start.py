"""Warm start: towers by the Inverse Cloze Task, the reader's head by masked words with the right passage beside (spec Sec. 3.4)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from openrealm import files
from openrealm.config import Config
from openrealm.corpus.store import Corpus
from openrealm.engine import Engine
from openrealm.model.realm import Realm
from openrealm.progress import track
from openrealm.text.pack import Row, pack_passage
from openrealm.train.examples import Example, MaskedExamples, Order
from openrealm.train.guard import Guard
from openrealm.train.layout import NULL, Layout
from openrealm.train.optimizer import adam, rate_factor, set_rate


def inverse_cloze(
    corpus: Corpus, layout: Layout, passages: Sequence[int], rng: np.random.Generator, *, max_query_tokens: int, remove_rate: float, with_title: bool
) -> tuple[list[Row], list[Row]]:
    """Pairs of a sentence and its passage, the sentence removed from it at `remove_rate` (Lee et al. 2019, Sec. 5.1).

    Returns query rows and passage rows, pair by pair. Passages of one sentence keep it.
    """
    queries, targets = [], []
    separator = corpus.tokenizer().encode(":")[0] if with_title else []
    for passage in passages:
        body = layout.body(passage)
        title = np.asarray(corpus.title_tokens(passage), dtype=np.int64)
        bounds = np.asarray(corpus.sentences(passage))
        start, end = bounds[int(rng.integers(len(bounds)))]
        query = np.concatenate([title, separator, body[start:end]]) if with_title and len(title) else body[start:end]
        remove = len(bounds) > 1 and rng.random() < remove_rate
        kept = np.concatenate([body[:start], body[end:]]) if remove else body
        queries.append(layout.query(query.astype(np.int64), max_query_tokens))
        targets.append(pack_passage(title, kept, layout.specials, layout.max_passage_tokens))
    return queries, targets


def inverse_cloze_loss(query_BD: Tensor, passage_BD: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each query's own passage among the batch's, in nats, and the share that ranks it first."""
    score_BB = query_BD @ passage_BD.T
    own_B = torch.arange(score_BB.shape[0], device=score_BB.device)
    return torch.nn.functional.cross_entropy(score_BB, own_B), (score_BB.argmax(dim=1) == own_B).float().mean()


def masked_word_loss(model: Realm, layout: Layout, examples: Sequence[Example], beside: Sequence[bool], max_tokens: int) -> Tensor:
    """-log p of the masked tokens, mean over tokens, with the query's own passage beside it where `beside`, else the null passage."""
    rows = [
        layout.joint(e.query, e.passage if with_passage else NULL, max_tokens)[0]
        for e, with_passage in zip(examples, beside, strict=True)
    ]
    logp_nJ = model.reader.gold_log_prob(rows, [[p + 1 for p in e.positions] for e in examples], [list(e.gold) for e in examples])
    return -logp_nJ.sum() / sum(len(e.positions) for e in examples)


def warm_start(config: Config, model: Realm, corpus: Corpus, engine: Engine, folder: Path) -> dict[str, float]:
    """Train towers and reader head; metrics go to `folder`/metrics.jsonl. Returns the last means of both losses."""
    settings = config.warm_start
    torch.manual_seed(config.seed)
    layout = Layout(corpus, title_in_joint=config.model.title_in_joint)
    examples = MaskedExamples(
        corpus, config.masking, config.pretrain.max_query_tokens - 2, config.pretrain.num_heldout_queries, config.seed
    )
    order = Order([i for i in range(corpus.num_passages) if len(corpus.sentences(i)) > 1] or range(corpus.num_passages), config.seed)
    head_rate = settings.learning_rate if settings.head_learning_rate is None else settings.head_learning_rate
    optimizer = adam(
        [
            (model.reader.head.parameters(), head_rate),
            (model.reader.parameters(), settings.learning_rate),
            ([model.retriever.passage_tower.projection.weight, model.retriever.query_tower.projection.weight], head_rate),
            (model.retriever.parameters(), settings.learning_rate),
        ],
        settings.weight_decay,
    )
    guard = Guard([*model.reader.parameters(), *model.retriever.parameters()], settings.clip_norm)
    (folder / "metrics.jsonl").unlink(missing_ok=True)
    recent: list[dict[str, float]] = []
    model.train()
    with track("warm start", settings.num_steps) as advance:
        for step in range(settings.num_steps):
            set_rate(optimizer, rate_factor(step, settings.num_steps, settings.warmup_steps))
            rng = np.random.default_rng([config.seed, 5, step])
            row: dict[str, float] = {}
            total = 0.0
            if settings.ict_batch:
                chosen = order.take_with_neighbours(step * settings.ict_batch, settings.ict_batch, settings.ict_neighbours)
                queries, targets = inverse_cloze(
                    corpus,
                    layout,
                    chosen,
                    rng,
                    max_query_tokens=settings.max_query_tokens,
                    remove_rate=settings.remove_sentence_rate,
                    with_title=config.masking.title_in_query,
                )
                with engine.autocast():
                    query_BD, passage_BD = model.retriever.encode_query(queries), model.retriever.encode_passage(targets)
                loss, accuracy = inverse_cloze_loss(query_BD, passage_BD)
                loss.backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
                row |= {"ict_loss": float(loss.detach()), "ict_accuracy": float(accuracy)}
            if settings.mlm_batch:
                batch = examples.batch(step, settings.mlm_batch)
                beside = [bool(rng.random() < settings.passage_rate) for _ in batch]
                with engine.autocast():
                    loss = masked_word_loss(model, layout, batch, beside, config.pretrain.max_joint_tokens)
                loss.backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
                row |= {"mlm_loss": float(loss.detach())}
            guard.step(optimizer, total, step)
            files.append_line(folder / "metrics.jsonl", json.dumps({"step": step + 1} | {k: round(v, 5) for k, v in row.items()}))
            recent = [*recent[-19:], row]
            advance(1, ", ".join(f"{k} {v:.2f}" for k, v in row.items()))
    model.eval()
    return {key: sum(r[key] for r in recent) / len(recent) for key in (recent[0] if recent else {})}
