"""Settings of a base encoder: its size, its data and its losses."""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from openrealm.errors import BadConfig
from openrealm.section import Section, setting, share


@dataclass(frozen=True, kw_only=True)
class BaseSettings(Section):
    """Settings of a small BERT trained to fill in masks, with or without a passage (MLM), and to find passages (ICT).

    >>> BaseSettings(num_layers=4).replace(hidden_size=128).num_layers
    4
    """

    key: ClassVar[str] = "base"
    name: str = setting("openrealm-mini", "name of the encoder and of its folder under runs/")
    seed: int = setting(0, "random seed", ge=0)
    start: str | None = setting(None, "encoder to initialise weights and vocabulary from; none: from scratch")

    num_layers: int = setting(3, "transformer layers", ge=1)
    hidden_size: int = setting(256, "hidden size", ge=8)
    num_heads: int = setting(4, "attention heads", ge=1)
    inner_size: int = setting(768, "hidden size of the feed-forward layers; four times hidden_size in BERT", ge=8)
    max_positions: int = setting(512, "longest input in word pieces", ge=16)
    projection_dim: int = setting(128, "dimension of the retrieval vectors", "Guu Sec. 3.2", ge=1)
    temperature: float = setting(0.05, "divisor of the cosine scores before the ICT softmax", ge=1e-6)
    copy_start: bool = setting(True, "initialise attention so that it copies from the passage, if the shape permits")
    vocab_size: int = setting(16_000, "word pieces in the vocabulary", ge=100)

    max_passage_tokens: int = setting(96, "longest passage with its title, in word pieces", ge=8)
    max_query_tokens: int = setting(48, "longest masked query read with a passage, in word pieces", ge=8)
    max_joint_tokens: int = setting(384, "longest query with passages, in word pieces", ge=16)
    heldout_rate: float = share(0.01, "share of articles held out for evaluation")

    own_rate: float = share(0.2, "share of masked examples read with their own passage")
    related_rate: float = share(0.35, "share read with another passage that contains the masked span")
    unrelated_rate: float = share(0.1, "share read with a random passage; the rest is read without a passage")
    long_rate: float = share(0.1, "share of examples with a passage that also get the passage next to it")
    swap_rate: float = share(
        0.5, "share of examples with the answer in the passage where another answer replaces it in both"
    )
    title_rate: float = share(0.3, "share of queries with their article's title prepended")
    span_only_rate: float = share(0.2, "share of masked examples in which nothing but one salient span is masked")
    mask_rate: float = share(0.2, "share of word pieces masked in the other examples, as whole words")

    num_steps: int = setting(20_000, "optimiser steps", ge=1)
    mlm_batch: int = setting(64, "masked examples per step", ge=1)
    ict_batch: int = setting(32, "sentences per step with in-batch negatives; 0 turns ICT off", ge=0)
    ict_neighbours: int = setting(
        4, "consecutive passages that enter an ICT batch together, as hard negatives for each other", ge=1
    )
    ict_weight: float = setting(0.5, "weight of the ICT loss relative to the MLM loss", ge=0)
    remove_sentence_rate: float = share(0.9, "share of ICT passages from which the query sentence is removed", "Lee")
    teacher: str | None = setting(
        None, "sentence encoder whose similarities are distilled: 'minilm', a folder or a hub id; none: no teacher"
    )
    teacher_batch: int = setting(128, "texts per step whose similarities are distilled", ge=2)
    teacher_weight: float = setting(1.0, "weight of the distillation loss relative to the MLM loss", ge=0)
    teacher_sentences: int = setting(150_000, "number of short sentences to distil from", ge=2)
    teacher_passages: int = setting(15_000, "number of passages with titles to distil from", ge=0)
    learning_rate: float = setting(1e-3, "peak learning rate", ge=0)
    warmup_steps: int = setting(200, "warm-up steps", ge=1)
    weight_decay: float = setting(0.01, "weight decay of Adam", "BERT", ge=0)
    clip_norm: float = setting(1.0, "maximum gradient norm", "BERT", ge=0)
    eval_steps: int = setting(1000, "steps between evaluations on held-out text", ge=1)
    num_heldout_queries: int = setting(256, "held-out masked queries per evaluation", ge=1)
    checkpoint_steps: int = setting(500, "steps between checkpoints", ge=1)

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads:
            raise BadConfig(
                f"base.hidden_size is {self.hidden_size}, which is not a multiple of base.num_heads={self.num_heads}."
            )
        if self.own_rate + self.related_rate + self.unrelated_rate > 1:
            raise BadConfig("base.own_rate, base.related_rate and base.unrelated_rate must add up to 1 or less.")
        if max(self.max_passage_tokens + 3, self.max_joint_tokens) > self.max_positions:
            raise BadConfig(
                "base.max_positions must be at least base.max_joint_tokens, and at least base.max_passage_tokens + 3."
            )
        if self.max_query_tokens + 4 > self.max_joint_tokens:
            raise BadConfig("base.max_joint_tokens must be at least base.max_query_tokens + 4.")
