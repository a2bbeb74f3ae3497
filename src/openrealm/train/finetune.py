"""Fine-tuning on questions as ORQA does: the index stands still, the query tower and the span reader train."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from openrealm.config import Config, FinetuneConfig
from openrealm.engine import Engine
from openrealm.model import marginal
from openrealm.model.realm import Realm
from openrealm.progress import track
from openrealm.train import metrics
from openrealm.train.answers import AnswerFinder
from openrealm.train.examples import Order
from openrealm.train.guard import Guard
from openrealm.train.layout import Layout
from openrealm.train.openqa import Bm25Source, DenseSource, Source, SpanScores, read_spans
from openrealm.train.optimizer import adam, rate_factor, set_rate
from openrealm.types import Question


def finetune(
    config: Config,
    model: Realm,
    layout: Layout,
    source: Source,
    questions: Sequence[Question],
    finder: AnswerFinder,
    engine: Engine,
    folder: Path,
) -> None:
    """Train `model` (in place) for `config.finetune.num_steps` steps; metrics go to `folder`/metrics.jsonl.

    Loss: L_reader + L_early, each off for a question without a positive; with BM25 there is no retriever to train.
    """
    settings = config.finetune
    torch.manual_seed(config.seed)
    optimizer, guard = _trained(config, model, source)
    rows = layout.corpus.tokenizer().encode_batch([q.text for q in questions])
    tokens = [np.asarray(ids, dtype=np.int64) for ids, _ in rows]
    order = Order(range(len(questions)), config.seed)
    metrics.start_over(folder)
    with track(f"fine-tune {folder.name}", settings.num_steps) as advance:
        for step in range(settings.num_steps):
            started = time.perf_counter()
            model.train()
            set_rate(optimizer, rate_factor(step, settings.num_steps, settings.warmup_steps))
            chosen = order.take(step * settings.batch_size, settings.batch_size)
            asked = [questions[i] for i in chosen]
            with engine.autocast():
                score_BE, id_BE, scores = _retrieve_and_read(
                    model, layout, source, [tokens[i] for i in chosen], asked, settings
                )
            reader_B, early_B = losses(scores, score_BE, id_BE, asked, finder, early=isinstance(source, DenseSource))
            loss = (reader_B + early_B).mean()
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]
            guard.step(optimizer, float(loss.detach()), step)
            row = {
                "reader_loss": float(reader_B.detach().mean()),
                "early_loss": float(early_B.detach().mean()),
                "no_positive": float((reader_B.detach() == 0).float().mean()),
                "seconds": time.perf_counter() - started,
            }
            metrics.append(folder, step + 1, row)
            advance(1, f"reader {row['reader_loss']:.2f}, early {row['early_loss']:.2f}")
    model.eval()


def _trained(config: Config, model: Realm, source: Source) -> tuple[torch.optim.AdamW, Guard]:
    """Choose what trains (span reader, query tower or BM25's weight; never E_doc), with its optimiser and guard."""
    settings = config.finetune
    model.retriever.requires_grad_(False)
    if isinstance(source, DenseSource) and settings.train_query_tower:
        model.retriever.untie()
        tower = model.retriever.query_tower
        tower.requires_grad_(True)
        if config.model.freeze_embeddings:
            tower.encoder.backbone.get_input_embeddings().requires_grad_(False)  # type: ignore[operator]
    span_reader = model.span_reader or model.add_span_reader()
    head_rate = settings.learning_rate if settings.head_learning_rate is None else settings.head_learning_rate
    tower_rate = settings.learning_rate if settings.tower_learning_rate is None else settings.tower_learning_rate
    span_head = [p for n, p in span_reader.named_parameters() if not n.startswith("encoder.")]
    extra = list(source.parameters()) if isinstance(source, Bm25Source) else []
    optimizer = adam(
        [
            (span_head + extra, head_rate),
            (span_reader.parameters(), settings.learning_rate),
            (model.retriever.parameters(), tower_rate),
        ],
        settings.weight_decay,
    )
    trained = [*span_reader.parameters(), *model.retriever.parameters(), *extra]
    return optimizer, Guard(trained, settings.clip_norm)


def _retrieve_and_read(
    model: Realm,
    layout: Layout,
    source: Source,
    tokens: Sequence[npt.NDArray[np.int64]],
    questions: Sequence[Question],
    settings: FinetuneConfig,
) -> tuple[Tensor, Tensor, SpanScores]:
    """Scores and numbers of the passages of the early loss, B x E, and the spans of the first K of them."""
    num_early = max(settings.early_candidates, settings.num_candidates)
    score_BE, id_BE = source.retrieve(tokens, [q.text for q in questions], num_early)
    num_read = min(settings.num_candidates, id_BE.shape[1])
    scores = read_spans(model, layout, tokens, score_BE[:, :num_read], id_BE[:, :num_read], settings)
    return score_BE, id_BE, scores


def losses(
    scores: SpanScores,
    score_BE: Tensor,
    id_BE: Tensor,
    questions: Sequence[Question],
    finder: AnswerFinder,
    *,
    early: bool,
) -> tuple[Tensor, Tensor]:
    """L_reader and L_early of a batch, B each, 0 where a question has no positive."""
    num_widths = scores.span_BKPW.shape[3]
    correct_BKPW = torch.zeros(scores.span_BKPW.shape, dtype=torch.bool)
    has_BE = torch.zeros(id_BE.shape, dtype=torch.bool)
    for b, question in enumerate(questions):
        answers = finder.sought(question)
        for k, passage in enumerate(scores.id_BK[b].tolist()):
            for first, width in finder.correct_spans(passage, answers, num_widths):
                if first < correct_BKPW.shape[2]:
                    correct_BKPW[b, k, first, width] = True
        having = torch.tensor(sorted(finder.passages_for(question)), dtype=torch.long)
        has_BE[b] = torch.isin(id_BE[b], having)
    device = score_BE.device
    reader_B = marginal.span_reader_loss(
        scores.span_BKPW.flatten(2), correct_BKPW.flatten(2).to(device), scores.valid_BKPW.flatten(2), scores.score_BK
    )
    early_B = marginal.early_loss(score_BE, has_BE.to(device)) if early else torch.zeros_like(reader_B)
    return reader_B, early_B
