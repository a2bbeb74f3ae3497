"""Your own documents, asked without training."""

from __future__ import annotations

from openrealm.config import Config, CorpusConfig, FinetuneConfig, ModelConfig

MODEL = "openrealm-qa"
"""The model that comes with the package and answers as it is."""


def documents() -> Config:
    """Passages as long as the model reads well, and as many of them per question as two cores read at once."""
    return Config(
        name="documents",
        corpus=CorpusConfig(source=".", max_passage_tokens=200),
        model=ModelConfig(backbone=MODEL, pooling="mean", shared_towers=True, normalize=True, temperature=0.05),
        finetune=FinetuneConfig(num_candidates=8, max_span_tokens=20),
    )
