"""Your own text: the quickstart on MiniLM, with the number of steps scaled to the amount of text."""

from __future__ import annotations

import math

from openrealm.config import Config
from openrealm.recipes.quickstart import quickstart_minilm

_FULL_PASSAGES = 10_000


def small(num_passages: int = 0) -> Config:
    """Takes minutes for a few files, and as many steps as the quickstart from 10,000 passages.

    Numbers are masked as well as names and dates, because a short text has few names.
    """
    known = quickstart_minilm()
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
