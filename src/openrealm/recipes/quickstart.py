"""The quickstart: paragraphs of Wikipedia and questions of people about them, with openrealm-qa."""

from __future__ import annotations

from openrealm.config import Config, WarmStartConfig
from openrealm.recipes.small import small

_NUM_PASSAGES = 1_154


def quickstart() -> Config:
    """`openrealm quickstart`, which fits the numbers of steps to its time (docs/lab-log.md).

    `warm_start` has no steps before pre-training: it describes what is trained beside it for the same time.
    """
    known = small(_NUM_PASSAGES)
    return known.replace(
        name="quickstart",
        corpus=known.corpus.replace(source="qed"),
        warm_start=WarmStartConfig(
            num_steps=0,
            ict_batch=32,
            mlm_batch=0,
            learning_rate=known.pretrain.learning_rate,
            tower_learning_rate=known.pretrain.tower_learning_rate,
            warmup_steps=known.pretrain.warmup_steps,
            max_query_tokens=known.pretrain.max_query_tokens,
            checkpoint_steps=known.pretrain.checkpoint_steps,
        ),
    )
