"""What decides how a base encoder of one's own is trained: its shape, its data, its tasks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from openrealm.errors import BadConfig
from openrealm.section import Section, field, hints
from openrealm.typed import parsed


def _share(default: float, doc: str) -> Any:
    return field(default, doc, at_least=0, at_most=1)


@dataclass(frozen=True, kw_only=True)
class BaseSettings(Section):
    """A small BERT, trained to fill in masks beside a passage and to find passages (masked words and ICT at once)."""

    key: ClassVar[str] = "base"
    name: str = field("openrealm-mini", "the folder's name, by which it is loaded")
    seed: int = field(0, "of every random choice", at_least=0)
    start: str | None = field(None, "encoder whose weights and vocabulary are gone on from; none begins anew")

    num_layers: int = field(3, "transformer layers", at_least=1)
    hidden_size: int = field(256, "width", at_least=8)
    num_heads: int = field(4, "attention heads", at_least=1)
    inner_size: int = field(768, "width inside the feed-forward layers; BERT's is four times the width", at_least=8)
    max_positions: int = field(512, "longest row in word pieces", at_least=16)
    projection_dim: int = field(128, "dimensions of the retrieval vectors; Guu Sec. 3.2", at_least=1)
    temperature: float = field(0.05, "divides the scores of unit vectors before ICT's softmax", at_least=1e-6)
    copy_start: bool = field(True, "first weights that copy already (model/copying.py), where the shape allows")
    vocab_size: int = field(16_000, "word pieces", at_least=100)

    max_passage_tokens: int = field(96, "word pieces of a passage and its title", at_least=8)
    max_query_tokens: int = field(48, "word pieces of a masked query that is read beside a passage", at_least=8)
    max_joint_tokens: int = field(384, "word pieces of the longest joint row", at_least=16)
    heldout_rate: float = _share(0.01, "share of the articles that are never trained on")

    own_rate: float = _share(0.2, "share of masked examples beside their own passage")
    related_rate: float = _share(0.35, "share beside another passage that holds the hidden span")
    unrelated_rate: float = _share(0.1, "share beside any passage; what is left reads alone")
    long_rate: float = _share(0.1, "of examples with a passage, share with its neighbour in the article too")
    swap_rate: float = _share(0.5, "of examples that can copy, share whose span is swapped for one from elsewhere")
    title_rate: float = _share(0.3, "of queries, share with their article's title in front")
    span_only_rate: float = _share(0.2, "of masked examples, share that hide one salient span and nothing else")
    mask_rate: float = _share(0.2, "of the other examples, share of word pieces hidden, as whole words")

    num_steps: int = field(20_000, "optimiser steps", at_least=1)
    mlm_batch: int = field(64, "masked examples a step", at_least=1)
    ict_batch: int = field(32, "sentences a step that look for their passage (0: none)", at_least=0)
    ict_neighbours: int = field(4, "passages in a row that enter an ICT batch together: hard negatives", at_least=1)
    ict_weight: float = field(0.5, "of the ICT loss beside the masked words' loss", at_least=0)
    remove_sentence_rate: float = _share(0.9, "share of passages without their sentence; Lee")
    teacher: str | None = field(None, "sentence encoder that says how alike texts are: 'minilm', a folder, a hub name")
    teacher_batch: int = field(128, "texts a step that the teacher has compared", at_least=2)
    teacher_weight: float = field(1.0, "of the teacher's loss beside the masked words' loss", at_least=0)
    teacher_sentences: int = field(150_000, "short sentences of the sources among the teacher's texts", at_least=2)
    teacher_passages: int = field(15_000, "passages with their titles among them", at_least=0)
    learning_rate: float = field(1e-3, "peak rate", at_least=0)
    warmup_steps: int = field(200, "steps of linear warm-up", at_least=1)
    weight_decay: float = field(0.01, "Adam's", at_least=0)
    clip_norm: float = field(1.0, "largest gradient norm", at_least=0)
    eval_steps: int = field(1000, "steps between two measurements on held-out text", at_least=1)
    num_heldout_queries: int = field(256, "masked queries of a measurement", at_least=1)
    checkpoint_steps: int = field(500, "steps between two checkpoints", at_least=1)

    def _check_together(self) -> None:
        if self.hidden_size % self.num_heads:
            self._refuse("base.hidden_size must be a multiple of base.num_heads")
        if self.own_rate + self.related_rate + self.unrelated_rate > 1:
            self._refuse("base.own_rate, base.related_rate and base.unrelated_rate must not exceed 1 together")
        if max(self.max_passage_tokens + 3, self.max_joint_tokens) > self.max_positions:
            self._refuse("base.max_positions must hold base.max_joint_tokens, and a passage with 3 special tokens")
        if self.max_query_tokens + 4 > self.max_joint_tokens:
            self._refuse("base.max_joint_tokens must hold base.max_query_tokens and 4 more")

    def with_settings(self, settings: Iterable[str]) -> BaseSettings:
        """A copy with each "key=value" applied. Raises BadConfig naming the key or what is wrong with the value."""
        types = hints(type(self))
        known = [one.name for one in dataclasses.fields(self)]
        values: dict[str, Any] = {}
        for setting in settings:
            name, equals, text = setting.partition("=")
            name = name.strip().removeprefix("base.")
            if not equals or name not in known:
                raise BadConfig(f"--set {setting!r} is not KEY=VALUE with a known key; known are {', '.join(known)}.")
            values[name] = parsed(f"base.{name}", text.strip(), types[name])
        return dataclasses.replace(self, **values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values by key."""
        return dataclasses.asdict(self)
