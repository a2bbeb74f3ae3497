"""The World Factbook in minutes on two cores, with openrealm-mini or MiniLM as the encoder."""

from __future__ import annotations

from openrealm.config import (
    Config,
    CorpusConfig,
    FinetuneConfig,
    MaskingConfig,
    ModelConfig,
    PretrainConfig,
    WarmStartConfig,
)


def factbook() -> Config:
    """`openrealm quickstart --recipe factbook`: scaled down from the paper to two cores (docs/lab-log.md)."""
    return Config(
        name="factbook",
        # All countries' entries follow one template, so similar passages differ in their facts and are not duplicates.
        corpus=CorpusConfig(source="factbook", prose_only=True, max_passage_tokens=64, near_duplicates=False),
        model=ModelConfig(
            backbone="openrealm-mini",
            pooling="mean",
            shared_towers=True,
            normalize=True,
            temperature=0.05,
            dropout=0.0,
            title_in_joint=True,
        ),
        masking=MaskingConfig(title_in_query=True, min_passages=2, max_masked_tokens=6),
        warm_start=WarmStartConfig(
            num_steps=120,
            ict_batch=32,
            ict_neighbours=8,
            mlm_batch=16,
            learning_rate=3e-4,
            warmup_steps=10,
            passage_rate=0.25,
            related_rate=0.6,
            max_query_tokens=48,
        ),
        pretrain=PretrainConfig(
            num_steps=140,
            batch_size=10,
            micro_batch_size=5,
            num_candidates=5,
            ict_batch=32,
            learning_rate=1e-4,
            warmup_steps=10,
            refresh_steps=50,
            max_query_tokens=48,
            max_joint_tokens=None,
            eval_steps=40,
            num_heldout_queries=128,
            checkpoint_steps=50,
        ),
        finetune=FinetuneConfig(
            num_steps=100,
            batch_size=16,
            num_candidates=5,
            learning_rate=6e-4,
            head_learning_rate=2e-3,
            warmup_steps=10,
            max_query_tokens=32,
            max_reader_tokens=None,
        ),
    )


def factbook_minilm() -> Config:
    """The same with MiniLM, which is already trained as a retriever and so gets lower learning rates."""
    config = factbook()
    return config.replace(
        model=config.model.replace(backbone="minilm", freeze_embeddings=True),
        warm_start=config.warm_start.replace(
            num_steps=250, ict_batch=16, tower_learning_rate=2e-5, head_learning_rate=1e-3
        ),
        pretrain=config.pretrain.replace(
            num_steps=160, ict_batch=16, tower_learning_rate=2e-5, head_learning_rate=2e-4
        ),
        finetune=config.finetune.replace(
            num_steps=60, learning_rate=5e-5, tower_learning_rate=2e-5, head_learning_rate=1e-3
        ),
    )
