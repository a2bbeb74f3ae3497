"""The whole configuration of a run: frozen, keyword-only, typed, checked when made; the defaults are the papers'.

Guu is Guu et al. 2020 (REALM), Lee is Lee et al. 2019 (ORQA), the released code is Google's. A recipe returns a
`Config`; `--set pretrain.num_steps=10` changes a field. Fields carry meaning, unit, source and limits as metadata.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, TypeGuard, TypeVar

from openrealm.errors import BadConfig
from openrealm.registry import CALLBACKS, LOSSES, SEARCHERS
from openrealm.section import Section
from openrealm.section import field as _field
from openrealm.section import hints as _hints
from openrealm.typed import parsed

_S = TypeVar("_S", bound=Section)


@dataclass(frozen=True, kw_only=True)
class CorpusConfig(Section):
    """Which text, and how it is cut into passages."""

    key: ClassVar[str] = "corpus"
    source: str = _field("factbook", "a folder or file, 'factbook', 'wikipedia:WIKI:DATE' or 'datasets:NAME'")
    salvage: bool = _field(False, "keep what is whole of a damaged dump, instead of stopping at the damage")
    prose_only: bool = _field(False, "leave out fields that are not sentences (Factbook only)")
    passages: Literal["tokens", "words", "paragraphs"] = _field("tokens", "a passage is whole sentences up to so many")
    max_passage_tokens: int = _field(288, "word pieces of title and body together; Guu Sec. 4.3", at_least=8)
    max_passage_words: int = _field(100, "words of the body, with corpus.passages=words; DPR's", at_least=1)
    near_duplicates: bool = _field(True, "passages that are nearly copies are never one another's candidates")
    tagger: str = _field("rules", "'rules', 'anchors', 'spacy:NAME' or 'hf:FOLDER'; the paper's is a BERT tagger")


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Section):
    """The towers and the readers."""

    key: ClassVar[str] = "model"
    backbone: str = _field("openrealm-mini", "that, 'minilm', a folder or a hub name; the paper's is bert-base-uncased")
    num_layers: int | None = _field(None, "first layers kept; none keeps all", at_least=1)
    pooling: Literal["cls", "mean"] = _field("cls", "what stands for the text: [CLS] (Guu Sec. 3.2) or the mean")
    projection_dim: int = _field(128, "dimensions of the retrieval vectors; Guu Sec. 3.2", at_least=1)
    projection: Literal["linear", "released"] = _field("linear", "W · pool, or released: LayerNorm(W tanh(dense) + b)")
    shared_towers: bool = _field(False, "one tower for queries and passages; the paper's are apart")
    normalize: bool = _field(False, "retrieval vectors of length 1; the paper's are plain inner products")
    temperature: float = _field(1.0, "divides the scores before the softmax; the paper has none", at_least=1e-6)
    freeze_embeddings: bool = _field(False, "word-piece embeddings stay as loaded")
    dropout: float = _field(0.1, "of the backbones, as BERT", at_least=0, at_most=0.9)
    title_in_joint: bool = _field(False, "the reader sees the passage's title too; the paper's sees the body alone")
    span_hidden: int = _field(256, "hidden size of the span reader's MLP; Lee", at_least=1)
    norm_eps: float = _field(1e-5, "of the LayerNorms in masked-token head and projection; released 1e-12", at_least=0)
    span_norm_eps: float = _field(1e-5, "of the span reader's LayerNorm; the released code's is 1e-3", at_least=0)


@dataclass(frozen=True, kw_only=True)
class MaskingConfig(Section):
    """What is hidden from the reader in pre-training."""

    key: ClassVar[str] = "masking"
    strategy: Literal["salient", "uniform", "span"] = _field("salient", "Guu Sec. 3.4; the others are its ablation")
    kinds: tuple[str, ...] = _field(("entity", "date"), "kinds of salient spans that may be masked; Guu Sec. 3.4")
    max_masked_tokens: int = _field(10, "word pieces; a longer salient span is passed over", at_least=1)
    min_passages: int = _field(1, "passages in which a salient span must stand to be masked", at_least=1)
    title_in_query: bool = _field(False, "put the article's title before the masked sentence")

    def _check_together(self) -> None:
        unknown = sorted(set(self.kinds) - {"entity", "date", "number"})
        if unknown or not self.kinds:
            self._refuse(f"masking.kinds is {self.kinds!r}, but some of entity, date, number are expected")


@dataclass(frozen=True, kw_only=True)
class WarmStartConfig(Section):
    """Towers by the Inverse Cloze Task, the reader's head by masked words: before joint training (Guu Sec. 3.4)."""

    key: ClassVar[str] = "warm_start"
    num_steps: int = _field(100_000, "optimiser steps; Lee", at_least=0)
    ict_batch: int = _field(4096, "sentences a step, in-batch negatives (0: no ICT); Lee", at_least=0)
    ict_neighbours: int = _field(1, "passages in a row that enter an ICT batch together: hard negatives", at_least=1)
    mlm_batch: int = _field(512, "masked sentences a step (0: no MLM); needed where weights bring no head", at_least=0)
    learning_rate: float = _field(1e-4, "peak rate of both encoders; Lee", at_least=0)
    tower_learning_rate: float | None = _field(None, "peak rate of the towers; none is learning_rate", at_least=0)
    head_learning_rate: float | None = _field(None, "peak rate of new heads; none is learning_rate", at_least=0)
    weight_decay: float = _field(0.01, "Adam's, as BERT", at_least=0)
    clip_norm: float = _field(1.0, "largest gradient norm, as BERT", at_least=0)
    warmup_steps: int | None = _field(None, "none is the paper's rule, see warmup_rule", at_least=0)
    remove_sentence_rate: float = _field(0.9, "share of passages without their sentence; Lee", at_least=0, at_most=1)
    passage_rate: float = _field(0.8, "share of MLM examples with the right passage beside", at_least=0, at_most=1)
    related_rate: float = _field(0.0, "share of MLM examples with a related passage by BM25", at_least=0, at_most=1)
    max_query_tokens: int = _field(64, "word pieces; Lee", at_least=4)
    checkpoint_steps: int = _field(1000, "steps between two checkpoints", at_least=1)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(Section):
    """Joint training of retriever and reader with the passage summed out (Guu Sec. 3.3, 4.3)."""

    key: ClassVar[str] = "pretrain"
    queries: str | None = _field(None, "a corpus or run whose text is masked (CC-News, Guu Sec. 4.3); none: its own")
    num_steps: int = _field(200_000, "optimiser steps; Guu Sec. 4.3", at_least=1)
    batch_size: int = _field(512, "queries a step; Guu Sec. 4.3", at_least=1)
    micro_batch_size: int | None = _field(
        None, "queries in memory at once, gradients added up; none is all", at_least=1
    )
    num_candidates: int = _field(8, "passages read for a query, the null passage included; Guu Sec. 4.3", at_least=1)
    num_tail_candidates: int = _field(0, "draws, of num_candidates, that stand for the passages not read", at_least=0)
    learning_rate: float = _field(3e-5, "peak rate of the reader; Guu Sec. 4.3", at_least=0)
    tower_learning_rate: float | None = _field(None, "peak rate of the towers; none is learning_rate", at_least=0)
    head_learning_rate: float | None = _field(None, "peak rate of the MLM head; none is learning_rate", at_least=0)
    weight_decay: float = _field(0.01, "Adam's, as BERT", at_least=0)
    clip_norm: float = _field(1.0, "largest gradient norm, as BERT", at_least=0)
    warmup_steps: int | None = _field(None, "none is the paper's rule, see warmup_rule", at_least=0)
    refresh_steps: int = _field(500, "steps between two starts of a refresh; Guu Sec. 4.3: about 500", at_least=1)
    max_staleness_steps: int | None = _field(None, "warn when the index is older; none never warns", at_least=1)
    loss: str = _field("marginal", "a name in registry.LOSSES: marginal (Guu Eq. 1), emdr2, pdist, loop, adist")
    per_token_marginal: bool = _field(False, "sum passages out once a masked token, as the released code does")
    mean_over_masks: bool = _field(False, "each mask of a batch counts alike, not each query, as in the released code")
    use_null: bool = _field(True, "the null passage is always a candidate; Guu Sec. 3.4")
    block_trivial: bool = _field(True, "the query's own passage and its duplicates are never candidates; Guu Sec. 3.4")
    ict_batch: int = _field(0, "sentences a step of ICT beside the joint loss; 0, as the paper, is none", at_least=0)
    freeze_towers: bool = _field(False, "train the reader alone: what the retriever's training is measured against")
    max_query_tokens: int = _field(96, "word pieces; the released code", at_least=4)
    max_joint_tokens: int = _field(384, "word pieces of query and passage read together; the released code", at_least=8)
    eval_steps: int = _field(500, "steps between two measurements on held-out queries", at_least=1)
    num_heldout_queries: int = _field(128, "queries never trained on, for utility and recall", at_least=1)
    checkpoint_steps: int = _field(1000, "steps between two checkpoints", at_least=1)

    def _check_together(self) -> None:
        LOSSES.check(self.loss, "pretrain.loss")
        if self.use_null + self.num_tail_candidates >= self.num_candidates:
            self._refuse("pretrain.num_candidates counts the null passage and num_tail_candidates and must exceed them")
        if self.num_tail_candidates and self.loss != "marginal":
            self._refuse("pretrain.num_tail_candidates needs pretrain.loss=marginal, whose sum it estimates")
        if self.max_query_tokens >= self.max_joint_tokens:
            self._refuse("pretrain.max_query_tokens must be less than pretrain.max_joint_tokens")


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(Section):
    """Training on questions and answers with the index left alone (Lee Sec. 6; Guu Sec. 4.3)."""

    key: ClassVar[str] = "finetune"
    num_steps: int = _field(300_000, "optimiser steps; about this many on Natural Questions", at_least=1)
    batch_size: int = _field(1, "questions a step; Lee", at_least=1)
    num_candidates: int = _field(5, "passages read for a question; Guu Sec. 4.3", at_least=1)
    early_candidates: int = _field(5000, "passages of the early retriever loss (0: none); Lee Sec. 6", at_least=0)
    learning_rate: float = _field(1e-5, "peak rate of the query tower and the reader; Lee", at_least=0)
    tower_learning_rate: float | None = _field(None, "peak rate of the query tower; none is learning_rate", at_least=0)
    head_learning_rate: float | None = _field(None, "peak rate of the span MLP; none is learning_rate", at_least=0)
    weight_decay: float = _field(0.01, "Adam's, as BERT", at_least=0)
    clip_norm: float = _field(1.0, "largest gradient norm, as BERT", at_least=0)
    warmup_steps: int | None = _field(None, "none is the paper's rule, see warmup_rule", at_least=0)
    max_query_tokens: int = _field(64, "word pieces; Lee", at_least=4)
    max_reader_tokens: int = _field(320, "word pieces of question and passage together; Lee's code", at_least=8)
    max_span_tokens: int = _field(10, "longest answer in word pieces; Lee", at_least=1)
    train_query_tower: bool = _field(True, "E_in trains, E_doc and the index stay; Lee")
    checkpoint_steps: int = _field(1000, "steps between two checkpoints", at_least=1)

    def _check_together(self) -> None:
        if self.max_query_tokens >= self.max_reader_tokens:
            self._refuse("finetune.max_query_tokens must be less than finetune.max_reader_tokens")
        if 0 < self.early_candidates < self.num_candidates:
            self._refuse("finetune.early_candidates must be 0 or at least finetune.num_candidates")


@dataclass(frozen=True, kw_only=True)
class IndexConfig(Section):
    """The index of passage vectors."""

    key: ClassVar[str] = "index"
    searcher: str = _field("exact", "how the best passages are found: a name in registry.SEARCHERS")

    def _check_together(self) -> None:
        SEARCHERS.check(self.searcher, "index.searcher")


@dataclass(frozen=True, kw_only=True)
class Config(Section):
    """A whole run: nothing else decides what it computes."""

    name: str = _field("run", "the run's folder under runs/")
    seed: int = _field(0, "of every random choice", at_least=0, at_most=2**63 - 1)
    precision: Literal["auto", "fp32", "bf16"] = _field("auto", "of the matrix products; weights stay fp32")
    device: str = _field("auto", "'auto', 'cpu', 'cuda' or 'cuda:N'")
    callbacks: tuple[str, ...] = _field((), "names of callbacks that observe training, such as tensorboard")
    num_threads: int | None = _field(None, "CPU threads of the trainer; none shares the cores out", at_least=1)
    corpus: CorpusConfig = dataclasses.field(default_factory=CorpusConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    masking: MaskingConfig = dataclasses.field(default_factory=MaskingConfig)
    warm_start: WarmStartConfig = dataclasses.field(default_factory=WarmStartConfig)
    pretrain: PretrainConfig = dataclasses.field(default_factory=PretrainConfig)
    index: IndexConfig = dataclasses.field(default_factory=IndexConfig)
    finetune: FinetuneConfig = dataclasses.field(default_factory=FinetuneConfig)

    def _check_together(self) -> None:
        if not self.name or self.name in (".", "..") or "/" in self.name or "\0" in self.name:
            raise BadConfig(f"name is {self.name!r}, but a folder's plain name is expected.")
        for callback in self.callbacks:
            CALLBACKS.check(callback.partition(":")[0], "callbacks")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, nested by section; `from_dict` gives the same configuration back."""
        return typing.cast(dict[str, Any], _plain(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The configuration of `to_dict`; left-out keys take their default. Raises BadConfig naming an unknown key."""
        return _built(cls, values, "")


def warmup_rule(num_steps: int) -> int:
    """Warm-up steps of the released code: a tenth of all, at least 100 and at most 10,000."""
    return min(10_000, max(100, num_steps // 10))


def keys(section: type[Section] = Config, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every dotted key that `--set` takes, with its meaning."""
    for field in dataclasses.fields(section):
        hint = _hints(section)[field.name]
        if _is_section(hint):
            yield from keys(hint, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, field.metadata["doc"]


def with_settings(config: Config, settings: Iterable[str]) -> Config:
    """A copy of `config` with each "section.key=value" of `settings` applied, the later one winning.

    A value is read by its field's type: `none` where none is allowed, true/false, numbers as Python writes them,
    commas between the items of a tuple. Raises BadConfig naming the setting, or the nearest known keys.
    """
    values = config.to_dict()
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise BadConfig(f"--set {setting!r} has no '='; write section.key=value, such as pretrain.num_steps=100.")
        *path, name = key.strip().split(".")
        section: type[Section] = Config
        target = values
        for part in path:
            hint = _hints(section).get(part)
            if not _is_section(hint):
                raise _unknown(key.strip())
            section, target = hint, target[part]
        if name not in target:
            raise _unknown(key.strip())
        if _is_section(_hints(section)[name]):
            raise BadConfig(f"{key.strip()} is a section; set one of its keys, such as {_nearest(key + '.')}.")
        target[name] = parsed(key.strip(), text.strip(), _hints(section)[name])
    return type(config).from_dict(values)


def _is_section(hint: Any) -> TypeGuard[type[Section]]:
    return isinstance(hint, type) and issubclass(hint, Section)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _built(section: type[_S], values: Any, prefix: str) -> _S:
    if not isinstance(values, Mapping):
        raise BadConfig(f"{prefix.rstrip('.') or 'The configuration'} is {values!r}, but a table of keys is expected.")
    built = {}
    for name, value in values.items():
        hint = _hints(section).get(name) if name in {field.name for field in dataclasses.fields(section)} else None
        if hint is None:
            raise _unknown(f"{prefix}{name}")
        built[name] = _built(hint, value, f"{prefix}{name}.") if _is_section(hint) else value
    return section(**built)


def _nearest(key: str) -> str:
    known = [name for name, _ in keys()]
    by_last = [name for name in known if name.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]]
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
    return ", ".join(dict.fromkeys([*near, *by_last][:4]) or [field.name for field in dataclasses.fields(Config)])


def _unknown(key: str) -> BadConfig:
    return BadConfig(f"{key!r} is not a configuration key; the nearest known are: {_nearest(key)}.")
