"""Settings of a question-answering model: its data, its passages and its schedule."""

from __future__ import annotations

from typing import Annotated, ClassVar

from annotated_types import Gt
from pydantic.dataclasses import dataclass

from openrealm.errors import BadConfig
from openrealm.section import Section, setting, share


@dataclass(frozen=True, kw_only=True)
class QaSettings(Section):
    """Settings of a span reader that is trained on questions with passages.

    >>> QaSettings().replace(num_steps=10).num_steps
    10
    """

    key: ClassVar[str] = "qa"
    name: str = setting("openrealm-qa", "name of the model's folder under runs/")
    seed: int = setting(0, "random seed", ge=0)
    backbone: str = setting("minilm", "encoder to start from, whose retrieval vectors stay as they are")
    start: str | None = setting(None, "question-answering model to continue from, in place of a backbone")
    projection_dim: int = setting(384, "dimension of the retrieval vectors: the encoder's, to keep all it knows", ge=1)
    span_hidden: int = setting(128, "hidden size of the span reader's MLP", ge=1)

    max_passage_tokens: int = setting(200, "longest passage with its title, in word pieces", ge=16)
    max_query_tokens: int = setting(48, "longest question in training, in word pieces", ge=4)
    max_joint_tokens: int = setting(256, "longest question with passage, in word pieces", ge=16)
    max_span_tokens: int = setting(20, "longest answer in word pieces", ge=1)
    num_negatives: int = setting(8, "passages without the answer kept per question, found by BM25", ge=1)
    shares: tuple[Annotated[float, Gt(0)], ...] = setting(
        (), "relative shares of the sources in each batch, in their order, such as 3,1; none: by their sizes"
    )
    heldout_every: int = setting(50, "hold out the questions on one title in this many", ge=2)

    negative_rate: float = share(0.4, "share of questions read with a passage without the answer as well")
    unanswerable_rate: float = share(0.12, "share of questions read with nothing but passages without the answer")
    title_rate: float = share(0.85, "share of passages read with their title")

    tower_steps: int = setting(0, "optimiser steps of the towers, before the reader's; 0: they stay as they are", ge=0)
    tower_batch_size: int = setting(32, "questions per step of the towers", ge=2)
    tower_learning_rate: float = setting(2e-5, "peak learning rate of the towers", ge=0)
    num_steps: int = setting(3400, "optimiser steps of the reader; 0: it stays as it is", ge=0)
    batch_size: int = setting(24, "questions per step", ge=1)
    learning_rate: float = setting(2e-4, "peak learning rate of the encoder", ge=0)
    head_learning_rate: float = setting(5e-4, "peak learning rate of the span MLP", ge=0)
    warmup_steps: int = setting(300, "warm-up steps", ge=0)
    weight_decay: float = setting(0.01, "weight decay of Adam", "BERT", ge=0)
    clip_norm: float = setting(1.0, "maximum gradient norm", "BERT", ge=0)
    eval_steps: int = setting(850, "steps between evaluations on held-out questions", ge=1)
    num_heldout: int = setting(400, "held-out questions per evaluation", ge=1)
    checkpoint_steps: int = setting(250, "steps between checkpoints", ge=1)
    num_calibration: int = setting(1000, "held-out questions to choose and test weights and confidence with", ge=2)
    num_distractors: int = setting(1000, "paragraphs of training among which those questions are asked", ge=1)

    def __post_init__(self) -> None:
        if self.negative_rate + self.unanswerable_rate > 1:
            raise BadConfig("qa.negative_rate and qa.unanswerable_rate must add up to 1 or less.")
        if self.max_query_tokens + 4 > self.max_joint_tokens:
            raise BadConfig("qa.max_joint_tokens must be at least qa.max_query_tokens + 4.")

    @property
    def origin(self) -> str:
        """Where the weights come from: `start`, or else the backbone."""
        return self.backbone if self.start is None else self.start
