"""The configuration of a run: frozen, typed, checked on creation. The defaults are the papers' values.

A recipe returns a `Config`; `--set pretrain.num_steps=10` changes one setting; `openrealm config` prints them all.
"""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from openrealm.errors import BadConfig
from openrealm.registry import CALLBACKS, LOSSES, SEARCHERS, Registry
from openrealm.section import Section, setting, with_settings
from openrealm.types import DEFAULT_LIMITS, MAX_REGEX_SECONDS, Limits

__all__ = [
    "SOURCES",
    "Config",
    "CorpusConfig",
    "FinetuneConfig",
    "IndexConfig",
    "MaskingConfig",
    "ModelConfig",
    "PretrainConfig",
    "WarmStartConfig",
    "joint_room",
    "joint_tokens",
    "warmup_rule",
    "with_settings",
]

SOURCES = {
    "Guu": "Guu et al. 2020, REALM: Retrieval-Augmented Language Model Pre-Training",
    "Lee": "Lee et al. 2019, Latent Retrieval for Weakly Supervised Open Domain Question Answering (ORQA)",
    "BERT": "Devlin et al. 2019, BERT: Pre-training of Deep Bidirectional Transformers",
    "Ram": "Ram et al. 2022, Learning to Retrieve Passages without Supervision (Spider)",
    "DPR": "Karpukhin et al. 2020, Dense Passage Retrieval for Open-Domain Question Answering",
    "released code": "the TensorFlow code of REALM and ORQA in google-research/language",
}
"""What the sources of the settings abbreviate."""


Storage = Literal["fp32", "fp16", "int8"]
"""How the vectors of an index are stored."""


def _registered(registry: Registry[object], key: str) -> AfterValidator:
    def check(name: str | None) -> str | None:
        if name is not None:
            registry.check(name.partition(":")[0], key)
        return name

    return AfterValidator(check)


def _device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", name):
        raise BadConfig(f"device is {name!r}, but 'auto', 'cpu', 'cuda' or 'cuda:N' is expected.")
    return name


@dataclass(frozen=True, kw_only=True)
class CorpusConfig(Section):
    """The text, and how it is split into passages."""

    key: ClassVar[str] = "corpus"
    source: str = setting(
        "factbook", "text: a folder, a file, 'qed', 'factbook', 'wikipedia:WIKI:DATE' or 'datasets:NAME'"
    )
    salvage: bool = setting(False, "recover the intact parts of a damaged dump instead of stopping at the damage")
    skip_unreadable: bool = setting(False, "skip and count files and rows that cannot be read instead of stopping")
    prose_only: bool = setting(False, "skip fields that are not full sentences (Factbook only)")
    passages: Literal["tokens", "words", "paragraphs"] = setting(
        "tokens", "unit of a passage: whole sentences up to a number of tokens or words, or one paragraph"
    )
    max_passage_tokens: int = setting(288, "longest passage with its title, in word pieces", "Guu Sec. 4.3", ge=8)
    max_passage_words: int = setting(100, "longest passage in words, if corpus.passages is words", "DPR", ge=1)
    near_duplicates: bool = setting(True, "keep near-duplicates of a query's own passage out of its candidates")
    tagger: str = setting("rules", "tagger of names and dates: 'rules', 'anchors', 'spacy:MODEL' or 'hf:MODEL'")
    max_file_mb: int = setting(DEFAULT_LIMITS.max_file_mb, "largest document, packed or not, in MB", ge=1)
    max_file_seconds: float = setting(DEFAULT_LIMITS.max_file_seconds, "CPU time for a document", ge=0.1)
    max_file_memory_mb: int = setting(DEFAULT_LIMITS.max_file_memory_mb, "memory for a document, in MB", ge=512)
    max_line_characters: int = setting(DEFAULT_LIMITS.max_line_characters, "longest line of prose", ge=1000)
    max_row_mb: int = setting(DEFAULT_LIMITS.max_row_mb, "longest row of a file of rows, in MB", ge=1, le=2000)
    max_row_group_mb: int = setting(
        DEFAULT_LIMITS.max_row_group_mb, "memory for the rows that Parquet decodes at once, in MB", ge=1
    )
    max_expansion: int = setting(
        DEFAULT_LIMITS.max_expansion, "how many times as long a compressed file of rows may become", ge=1
    )
    max_archive_files: int = setting(DEFAULT_LIMITS.max_archive_files, "files in an EPUB or Word document", ge=1)
    max_page_mb: int = setting(DEFAULT_LIMITS.max_page_mb, "largest page of a wiki, in MB", ge=1, le=2000)
    max_page_seconds: float = setting(DEFAULT_LIMITS.max_page_seconds, "CPU time for a page of a wiki", ge=0.1)
    max_page_memory_mb: int = setting(DEFAULT_LIMITS.max_page_memory_mb, "memory for a page of a wiki, in MB", ge=512)

    @property
    def limits(self) -> Limits:
        """The bounds on what is read."""
        return Limits(**{field.name: getattr(self, field.name) for field in fields(Limits)})


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Section):
    """The retriever's towers and the readers."""

    key: ClassVar[str] = "model"
    backbone: str = setting(
        "openrealm-mini",
        "pre-trained encoder: 'openrealm-mini', 'minilm', a folder or a hub id; the paper's is bert-base-uncased",
    )
    num_layers: int | None = setting(None, "encoder layers to keep, counting from the first; none: all", ge=1)
    pooling: Literal["cls", "mean"] = setting(
        "cls", "pooling of hidden states: the [CLS] state or the mean", "Guu Sec. 3.2"
    )
    projection_dim: int = setting(128, "dimension of the retrieval vectors", "Guu Sec. 3.2", ge=1)
    projection: Literal["linear", "released"] = setting(
        "linear", "projection of the pooled state: W·pool, or the released code's LayerNorm(W·tanh(dense) + b)"
    )
    shared_towers: bool = setting(False, "use one tower for queries and passages; the paper has two")
    normalize: bool = setting(False, "scale retrieval vectors to length 1; the paper uses plain inner products")
    temperature: float = setting(1.0, "divisor of the scores before the softmax; the paper has none", ge=1e-6)
    freeze_embeddings: bool = setting(False, "do not train the word-piece embeddings")
    dropout: float = setting(0.1, "dropout rate of the encoders", "BERT", ge=0, le=0.9)
    title_in_joint: bool = setting(False, "show the passage's title to the reader too; the paper shows the body alone")
    span_hidden: int = setting(256, "hidden size of the span reader's MLP", "Lee", ge=1)
    norm_eps: float = setting(
        1e-5, "epsilon of the LayerNorms in MLM head and projection; 1e-12 in the released code", ge=0
    )
    span_norm_eps: float = setting(1e-5, "epsilon of the span reader's LayerNorm; 1e-3 in the released code", ge=0)


@dataclass(frozen=True, kw_only=True)
class MaskingConfig(Section):
    """What is masked in pre-training."""

    key: ClassVar[str] = "masking"
    strategy: Literal["salient", "uniform", "span"] = setting(
        "salient",
        "what to mask: salient spans or, in the paper's ablations, random tokens (uniform) or spans (span)",
        "Guu Sec. 3.4",
    )
    kinds: Annotated[tuple[Literal["entity", "date", "number"], ...], Field(min_length=1)] = setting(
        ("entity", "date"), "kinds of salient spans to mask", "Guu Sec. 3.4"
    )
    max_masked_tokens: int = setting(10, "longest salient span to mask, in word pieces", ge=1)
    min_passages: int = setting(1, "mask only salient spans that occur in this many passages or more", ge=1)
    title_in_query: bool = setting(False, "prepend the article's title to the masked sentence")


@dataclass(frozen=True, kw_only=True)
class WarmStartConfig(Section):
    """Training before joint training: the towers by the Inverse Cloze Task, the reader by MLM (Guu Sec. 3.4)."""

    key: ClassVar[str] = "warm_start"
    num_steps: int = setting(100_000, "optimiser steps", "Lee", ge=0)
    ict_batch: int = setting(4096, "sentences per step with in-batch negatives; 0 turns ICT off", "Lee", ge=0)
    ict_neighbours: int = setting(
        1, "consecutive passages that enter an ICT batch together, as hard negatives for each other", ge=1
    )
    recurring_batch: int = setting(
        0, "sentences per step, each to be matched to another passage with one of its names; 0 turns this off", ge=0
    )
    remove_span_rate: float = setting(
        0.5, "share of these sentences from which the name itself is removed", "Ram", ge=0, le=1
    )
    mlm_batch: int = setting(
        512, "masked sentences per step; 0 turns MLM off; required if the backbone has no MLM head", ge=0
    )
    learning_rate: float = setting(1e-4, "peak learning rate of the encoders", "Lee", ge=0)
    tower_learning_rate: float | None = setting(None, "peak learning rate of the towers; none: learning_rate", ge=0)
    head_learning_rate: float | None = setting(None, "peak learning rate of new heads; none: learning_rate", ge=0)
    weight_decay: float = setting(0.01, "weight decay of Adam", "BERT", ge=0)
    clip_norm: float = setting(1.0, "maximum gradient norm", "BERT", ge=0)
    warmup_steps: int | None = setting(
        None, "warm-up steps; none: a tenth of num_steps, but at least 100 and at most 10000", "released code", ge=0
    )
    remove_sentence_rate: float = setting(
        0.9, "share of ICT passages from which the query sentence is removed", "Lee", ge=0, le=1
    )
    passage_rate: float = setting(0.8, "share of MLM examples read with their own passage", ge=0, le=1)
    related_rate: float = setting(0.0, "share of MLM examples read with a related passage, found by BM25", ge=0, le=1)
    max_query_tokens: int = setting(64, "longest query in word pieces", "Lee", ge=4)
    checkpoint_steps: int = setting(1000, "steps between checkpoints", ge=1)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(Section):
    """Joint training of retriever and reader, marginalising over passages (Guu Sec. 3.3, 4.3)."""

    key: ClassVar[str] = "pretrain"
    queries: str | None = setting(
        None, "corpus or run whose text is masked, as CC-News in the paper; none: the run's corpus", "Guu Sec. 4.3"
    )
    num_steps: int = setting(200_000, "optimiser steps; 0 leaves it out", "Guu Sec. 4.3", ge=0)
    minutes: float | None = setting(None, "train for this long instead of num_steps; none: num_steps", ge=0)
    batch_size: int = setting(512, "queries per step", "Guu Sec. 4.3", ge=1)
    micro_batch_size: int | None = setting(
        None, "queries per forward pass, with gradients accumulated over the batch; none: batch_size", ge=1
    )
    search_batch_size: int | None = setting(
        None,
        "queries per step to find candidates for, of which up to batch_size are read: those whose masked span occurs "
        "in a candidate; none, as in the paper: read all",
        ge=1,
    )
    search_candidates: int | None = setting(
        None,
        "candidates to find if search_batch_size is set, of which num_candidates are read: the best ones with the "
        "masked span, for up to half of them, and the best others; none: num_candidates",
        ge=1,
    )
    unanswerable_share: float = setting(
        0.0, "share of other queries among those read if search_batch_size is set", ge=0, le=1
    )
    final_unanswerable_share: float | None = setting(
        None, "the same at the end, reached linearly; none: unanswerable_share throughout", ge=0, le=1
    )
    num_candidates: int = setting(8, "passages read per query, including the null passage", "Guu Sec. 4.3", ge=1)
    share_candidates: bool = setting(
        False,
        "count the candidates of a micro-batch's other queries in p(z|x), as passages that are not read and help as "
        "little as the null passage; off in the paper",
    )
    num_tail_candidates: int = setting(
        0, "how many of num_candidates are sampled, to estimate the sum over all passages below the top", ge=0
    )
    learning_rate: float = setting(3e-5, "peak learning rate of the reader", "Guu Sec. 4.3", ge=0)
    tower_learning_rate: float | None = setting(None, "peak learning rate of the towers; none: learning_rate", ge=0)
    head_learning_rate: float | None = setting(None, "peak learning rate of the MLM head; none: learning_rate", ge=0)
    weight_decay: float = setting(0.01, "weight decay of Adam", "BERT", ge=0)
    clip_norm: float = setting(1.0, "maximum gradient norm", "BERT", ge=0)
    warmup_steps: int | None = setting(
        None, "warm-up steps; none: a tenth of num_steps, but at least 100 and at most 10000", "released code", ge=0
    )
    refresh_steps: int = setting(500, "steps between index refreshes", "Guu Sec. 4.3", ge=1)
    synchronous_refresh: bool = setting(
        False,
        "wait for each refresh, so that a resumed training is the same bit for bit; the paper trains on meanwhile",
    )
    max_staleness_steps: int | None = setting(None, "warn when the index is more steps old; none: never", ge=1)
    loss: Annotated[str, _registered(LOSSES, "pretrain.loss")] = setting(
        "marginal", "loss function: marginal, emdr2, pdist, loop, adist or a registered name", "Guu Eq. 1"
    )
    per_token_marginal: bool = setting(
        False, "marginalise once per masked token, as the released code does, instead of once per query"
    )
    mean_over_masks: bool = setting(
        False, "average the loss over all masks of the batch, as the released code does, instead of over queries"
    )
    use_null: bool = setting(True, "always include the null passage among the candidates", "Guu Sec. 3.4")
    block_trivial: bool = setting(
        True, "exclude the query's own passage and its duplicates from the candidates", "Guu Sec. 3.4"
    )
    ict_batch: int = setting(0, "sentences per step of an additional ICT loss; 0, as in the paper, turns it off", ge=0)
    recurring_batch: int = setting(
        0,
        "sentences per step, each also to be matched to another passage with one of its names; 0, as in the paper, "
        "turns this off",
        ge=0,
    )
    freeze_towers: bool = setting(False, "train the reader alone: the baseline without retriever training")
    max_query_tokens: int = setting(96, "longest query in word pieces", "released code", ge=4)
    max_joint_tokens: int | None = setting(
        384, "longest query with passage, in word pieces; none: room for both", "released code", ge=8
    )
    eval_steps: int = setting(500, "steps between evaluations on held-out queries", ge=1)
    num_heldout_queries: int = setting(128, "held-out queries for retrieval utility and recall", ge=1)
    checkpoint_steps: int = setting(1000, "steps between checkpoints", ge=1)

    def __post_init__(self) -> None:
        if self.search_batch_size is not None and self.search_batch_size < self.batch_size:
            raise BadConfig(
                f"pretrain.search_batch_size is {self.search_batch_size}, but must be none or at least "
                f"pretrain.batch_size ({self.batch_size}), because the queries to read are chosen from it."
            )
        if self.search_candidates is not None:
            if self.search_batch_size is None:
                raise BadConfig(
                    f"pretrain.search_candidates is {self.search_candidates}, but must be none unless "
                    "pretrain.search_batch_size is set, because all candidates found are read otherwise."
                )
            if self.search_candidates < self.num_candidates:
                raise BadConfig(
                    f"pretrain.search_candidates is {self.search_candidates}, but must be none or at least "
                    f"pretrain.num_candidates ({self.num_candidates}), because those to read are chosen from it."
                )
        if self.use_null + self.num_tail_candidates >= self.num_candidates:
            raise BadConfig(
                f"pretrain.num_candidates is {self.num_candidates}, but must exceed pretrain.num_tail_candidates "
                "plus 1 for the null passage (pretrain.use_null), because it includes them."
            )
        if self.num_tail_candidates and self.loss != "marginal":
            raise BadConfig(
                f"pretrain.num_tail_candidates is {self.num_tail_candidates}, but must be 0 unless pretrain.loss is "
                f"marginal (it is {self.loss}), because it estimates the sum in that loss."
            )
        if self.share_candidates and (self.loss != "marginal" or self.num_tail_candidates or not self.use_null):
            raise BadConfig(
                "pretrain.share_candidates needs pretrain.loss=marginal, pretrain.use_null=true and "
                "pretrain.num_tail_candidates=0, because it extends the sum of that loss by passages like the null one."
            )
        if self.max_joint_tokens is not None and self.max_query_tokens >= self.max_joint_tokens:
            raise BadConfig("pretrain.max_query_tokens must be less than pretrain.max_joint_tokens.")


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(Section):
    """Fine-tuning on questions and answers, with a fixed index (Lee Sec. 6; Guu Sec. 4.3)."""

    key: ClassVar[str] = "finetune"
    num_steps: int = setting(300_000, "optimiser steps; the default is meant for Natural Questions", ge=1)
    minutes: float | None = setting(None, "train for this long instead of num_steps; none: num_steps", ge=0)
    batch_size: int = setting(1, "questions per step", "Lee", ge=1)
    num_candidates: int = setting(5, "passages read per question", "Guu Sec. 4.3", ge=1)
    early_candidates: int = setting(
        5000, "passages in the retriever's early loss; 0 turns that loss off", "Lee Sec. 6", ge=0
    )
    learning_rate: float = setting(1e-5, "peak learning rate of query tower and reader", "Lee", ge=0)
    tower_learning_rate: float | None = setting(
        None, "peak learning rate of the query tower; none: learning_rate", ge=0
    )
    head_learning_rate: float | None = setting(None, "peak learning rate of the span MLP; none: learning_rate", ge=0)
    weight_decay: float = setting(0.01, "weight decay of Adam", "BERT", ge=0)
    clip_norm: float = setting(1.0, "maximum gradient norm", "BERT", ge=0)
    warmup_steps: int | None = setting(
        None, "warm-up steps; none: a tenth of num_steps, but at least 100 and at most 10000", "released code", ge=0
    )
    max_query_tokens: int = setting(64, "longest question in training, in word pieces", "Lee", ge=4)
    max_reader_tokens: int | None = setting(
        320, "longest question with passage, in word pieces; none: room for both", "released code", ge=8
    )
    max_span_tokens: int = setting(10, "longest answer in word pieces", "Lee", ge=1)
    answer_bounds: Literal["sentence", "word", "token"] = setting(
        "sentence", "what answers consist of: whole words of one sentence, whole words, or any word pieces (Lee)"
    )
    train_query_tower: bool = setting(True, "train the query tower; passage tower and index stay fixed", "Lee")
    checkpoint_steps: int = setting(1000, "steps between checkpoints", ge=1)

    def __post_init__(self) -> None:
        if self.max_reader_tokens is not None and self.max_query_tokens >= self.max_reader_tokens:
            raise BadConfig("finetune.max_query_tokens must be less than finetune.max_reader_tokens.")
        if 0 < self.early_candidates < self.num_candidates:
            raise BadConfig("finetune.early_candidates must be 0, or at least finetune.num_candidates.")


@dataclass(frozen=True, kw_only=True)
class IndexConfig(Section):
    """Search over passage vectors."""

    key: ClassVar[str] = "index"
    storage: Storage = setting(
        "fp32",
        "precision of stored vectors: fp32, fp16, or int8 (8 bits, which are searched, beside fp16)",
    )
    searcher: Annotated[str | None, _registered(SEARCHERS, "index.searcher")] = setting(
        None,
        "algorithm for inner-product search: exact, int8, faiss, faiss:FACTORY or a registered name; none: int8 if it "
        "is the storage, else exact",
    )


@dataclass(frozen=True, kw_only=True)
class Config(Section):
    """Everything that decides what a run computes.

    >>> config = Config(pretrain=PretrainConfig(num_steps=10))
    >>> config.pretrain.num_steps, config.pretrain.batch_size
    (10, 512)
    >>> Config.from_dict(config.to_dict()) == config
    True
    """

    name: str = setting("run", "name of the run's folder under runs/")
    seed: int = setting(0, "random seed", ge=0, le=2**63 - 1)
    precision: Literal["auto", "fp32", "bf16"] = setting(
        "auto", "precision of matrix products; weights are always fp32"
    )
    device: Annotated[str, AfterValidator(_device)] = setting(
        "auto", "device to run on: 'auto', 'cpu', 'cuda' or 'cuda:N'"
    )
    num_threads: int | None = setting(
        None, "CPU threads, and processes that build the corpus; none: one per core", ge=1
    )
    max_regex_seconds: float = setting(
        MAX_REGEX_SECONDS, "time for an answer that is a regular expression, on one passage", ge=0.01
    )
    callbacks: tuple[Annotated[str, _registered(CALLBACKS, "callbacks")], ...] = setting(
        (), "names of callbacks that observe training, such as tensorboard"
    )
    corpus: CorpusConfig = setting(CorpusConfig(), "")
    model: ModelConfig = setting(ModelConfig(), "")
    masking: MaskingConfig = setting(MaskingConfig(), "")
    warm_start: WarmStartConfig = setting(WarmStartConfig(), "")
    pretrain: PretrainConfig = setting(PretrainConfig(), "")
    finetune: FinetuneConfig = setting(FinetuneConfig(), "")
    index: IndexConfig = setting(IndexConfig(), "")

    def __post_init__(self) -> None:
        if not self.name or self.name in (".", "..") or "/" in self.name or "\0" in self.name:
            raise BadConfig(f"name is {self.name!r}, but a plain folder name is expected.")
        if self.pretrain.search_batch_size is not None and self.masking.strategy == "uniform":
            raise BadConfig(
                "pretrain.search_batch_size must be none if masking.strategy is uniform, because single tokens that "
                "are masked here and there form no span that a candidate could contain."
            )


def joint_room(max_query_tokens: int, max_passage_tokens: int) -> int:
    """Word pieces of the longest `[CLS] query [SEP] title [SEP] passage [SEP]`.

    max_query_tokens    longest query with its [CLS] and [SEP]
    max_passage_tokens  longest passage with its title
    """
    return max_query_tokens + max_passage_tokens + 2


def joint_tokens(max_query_tokens: int, max_passage_tokens: int, given: int | None) -> int:
    """Length of a joint row: `given` if it is set, else `joint_room`."""
    return given or joint_room(max_query_tokens, max_passage_tokens)


def warmup_rule(num_steps: int) -> int:
    """Default warm-up steps, as in the released code: a tenth of all steps, at least 100 and at most 10,000."""
    return min(10_000, max(100, num_steps // 10))
