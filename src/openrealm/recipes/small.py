"""Your own text: openrealm-qa adapted to it, or a sentence encoder trained from there."""

from __future__ import annotations

import math

from openrealm.config import Config, FinetuneConfig, MaskingConfig, PretrainConfig, WarmStartConfig
from openrealm.recipes.documents import documents
from openrealm.recipes.factbook import factbook_minilm

_FULL_PASSAGES = 10_000


def small(num_passages: int = 0) -> Config:
    """Adapts a model that answers as it is; `openrealm run` fits the numbers of steps to time and text.

    The masked-token head is new, so its learning rate is high, and those of what already works are low. Numbers are
    masked as well as names and dates, because a short text has few names.
    """
    known = documents()
    return known.replace(
        name="own-text",
        model=known.model.replace(freeze_embeddings=True, projection_dim=384, dropout=0.0, title_in_joint=True),
        masking=MaskingConfig(kinds=("entity", "date", "number"), title_in_query=True),
        warm_start=WarmStartConfig(num_steps=0, ict_batch=0, mlm_batch=0),
        pretrain=PretrainConfig(
            num_steps=100,
            batch_size=8,
            micro_batch_size=4,
            num_candidates=5,
            ict_batch=16,
            learning_rate=5e-5,
            tower_learning_rate=2e-5,
            head_learning_rate=1e-3,
            warmup_steps=10,
            refresh_steps=100,
            max_query_tokens=64,
            max_joint_tokens=None,
            eval_steps=1000,
            num_heldout_queries=max(8, min(64, num_passages // 10)),
            checkpoint_steps=25,
        ),
        finetune=FinetuneConfig(
            num_steps=100,
            batch_size=8,
            num_candidates=known.finetune.num_candidates,
            early_candidates=100,
            learning_rate=3e-5,
            tower_learning_rate=1e-5,
            head_learning_rate=1e-4,
            warmup_steps=10,
            max_query_tokens=64,
            max_reader_tokens=None,
            max_span_tokens=known.finetune.max_span_tokens,
            checkpoint_steps=25,
        ),
    )


def small_encoder(num_passages: int = 0) -> Config:
    """Trains a sentence encoder, in minutes for a few files, and as long as the Factbook's from 10,000 passages."""
    known = factbook_minilm()
    share = math.sqrt(min(1.0, num_passages / _FULL_PASSAGES))

    def steps(fewest: int, most: int) -> int:
        return round(min(fewest, most) + share * (most - min(fewest, most)))

    num_joint = steps(24, known.pretrain.num_steps)
    return known.replace(
        name="own-text",
        corpus=known.corpus.replace(source=".", prose_only=False, near_duplicates=True),
        masking=known.masking.replace(kinds=("entity", "date", "number"), min_passages=1, max_masked_tokens=10),
        warm_start=known.warm_start.replace(num_steps=steps(24, known.warm_start.num_steps)),
        pretrain=known.pretrain.replace(
            num_steps=num_joint,
            refresh_steps=max(4, num_joint // 4),
            eval_steps=max(4, num_joint // 4),
            checkpoint_steps=max(4, num_joint // 4),
            num_heldout_queries=min(known.pretrain.num_heldout_queries, max(8, num_passages // 10)),
        ),
        finetune=known.finetune.replace(num_steps=steps(40, known.finetune.num_steps)),
    )
