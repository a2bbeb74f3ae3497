"""Closed book: the masked-token reader, with the null passage alone, fills the answer in (knowledge as T5 holds it)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from openrealm.config import Config, FinetuneConfig
from openrealm.engine import Engine
from openrealm.model.realm import Realm
from openrealm.progress import track
from openrealm.text.pack import Row
from openrealm.train import metrics
from openrealm.train.examples import Order
from openrealm.train.guard import Guard
from openrealm.train.layout import NULL, Layout
from openrealm.train.optimizer import adam, rate_factor, set_rate
from openrealm.types import Question


def masked_question(
    layout: Layout, question: Sequence[int], num_masks: int, settings: FinetuneConfig
) -> tuple[Row, list[int]]:
    """`[CLS] question [MASK] … [MASK] [SEP] [SEP]` and where the masks are."""
    cut = list(question)[: max(0, settings.max_query_tokens - 2 - num_masks)]
    row, _ = layout.joint([*cut, *[layout.specials.mask] * num_masks], NULL, settings.max_reader_tokens)
    return row, [1 + len(cut) + j for j in range(num_masks)]


def finetune_closed_book(
    config: Config, model: Realm, layout: Layout, questions: Sequence[Question], engine: Engine, folder: Path
) -> None:
    """Train the reader to fill each question's first answer; same steps, batch and rates as the open-book systems.

    Questions whose answers are regular expressions are left out: a pattern is no text to learn. Raises BadInput
    where no question is left.
    """
    settings = config.finetune
    torch.manual_seed(config.seed)
    tokenizer = layout.corpus.tokenizer()
    asked = [ids for ids, _ in tokenizer.encode_batch([q.text for q in questions])]
    texts = ["" if question.regex else question.answers[0] for question in questions]
    wanted = [ids[: settings.max_span_tokens] for ids, _ in tokenizer.encode_batch(texts)]
    head_rate = settings.learning_rate if settings.head_learning_rate is None else settings.head_learning_rate
    optimizer = adam(
        [(model.reader.head.parameters(), head_rate), (model.reader.parameters(), settings.learning_rate)],
        settings.weight_decay,
    )
    guard = Guard(model.reader.parameters(), settings.clip_norm)
    order = Order([i for i in range(len(questions)) if wanted[i]], config.seed)
    metrics.start_over(folder)
    with track("fine-tune closed_book", settings.num_steps) as advance:
        for step in range(settings.num_steps):
            model.train()
            set_rate(optimizer, rate_factor(step, settings.num_steps, settings.warmup_steps))
            chosen = order.take(step * settings.batch_size, settings.batch_size)
            made = [masked_question(layout, asked[i], len(wanted[i]), settings) for i in chosen]
            with engine.autocast():
                logp_nJ = model.reader.gold_log_prob(
                    [row for row, _ in made], [places for _, places in made], [wanted[i] for i in chosen]
                )
            loss = -logp_nJ.sum() / sum(len(wanted[i]) for i in chosen)
            loss.backward()  # type: ignore[no-untyped-call]
            guard.step(optimizer, float(loss.detach()), step)
            metrics.append(folder, step + 1, {"loss": float(loss.detach())})
            advance(1, f"loss {float(loss.detach()):.2f}")
    model.eval()


@torch.inference_mode()
def answer_closed_book(
    model: Realm, layout: Layout, questions: Sequence[Question], settings: FinetuneConfig, engine: Engine
) -> list[str]:
    """The filling of best mean log-probability over the lengths 1 to `max_span_tokens`, each mask filled on its own."""
    model.eval()
    tokenizer = layout.corpus.tokenizer()
    asked = [ids for ids, _ in tokenizer.encode_batch([q.text for q in questions])]
    best_logp = np.full(len(questions), -np.inf)
    best_text = [""] * len(questions)
    for num_masks in range(1, settings.max_span_tokens + 1):
        made = [masked_question(layout, ids, num_masks, settings) for ids in asked]
        with engine.autocast():
            filled_nJ, logp_n = model.reader.fill([row for row, _ in made], [places for _, places in made])
        for i, (ids, logp) in enumerate(zip(filled_nJ.tolist(), logp_n.tolist(), strict=True)):
            if logp > best_logp[i]:
                best_logp[i], best_text[i] = logp, tokenizer.decode(ids)
    return best_text
