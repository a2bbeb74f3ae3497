"""The benchmark on real questions: openrealm-mini, passages of 100 words, the paper's learning rates."""

from __future__ import annotations

from openrealm.config import Config
from openrealm.recipes.factbook import factbook


def open_qa() -> Config:
    """The configuration of `openrealm benchmark`: rates and batches that raised recall there (docs/lab-log.md)."""
    known = factbook()
    return known.replace(
        name="open-qa",
        corpus=known.corpus.replace(
            source=".", prose_only=False, passages="words", max_passage_tokens=200, near_duplicates=True
        ),
        # The loss of ICT soon vanishes; at 3e-5, Adam then takes the towers away from what they know.
        warm_start=known.warm_start.replace(num_steps=0, ict_neighbours=1, mlm_batch=0, tower_learning_rate=1e-5),
        pretrain=known.pretrain.replace(
            batch_size=12,
            micro_batch_size=12,
            num_candidates=4,
            ict_batch=0,
            learning_rate=3e-5,
            refresh_steps=100,
            max_query_tokens=64,
            checkpoint_steps=100,
        ),
    )
