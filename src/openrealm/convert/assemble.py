"""Assembling one model from the parts of other projects; unknown, missing and misshapen tensors are reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from openrealm.config import ModelConfig
from openrealm.convert import names
from openrealm.errors import BadInput, Mismatch
from openrealm.model.encoder import backbone_from_config
from openrealm.model.realm import Realm
from openrealm.text.tokenizer import Tokenizer

PASSAGE_TOWER, QUERY_TOWER = "passage_tower", "query_tower"
ROLES = (PASSAGE_TOWER, QUERY_TOWER, names.READER, names.SPAN_READER)


@dataclass(frozen=True)
class Part:
    """One network of a source, its tensors under Hugging Face's names.

    label  maps a tensor's name to the one that the source itself uses, for messages
    """

    kind: str
    where: Path
    tensors: Mapping[str, Tensor]
    label: Callable[[str], str] = str


@dataclass(frozen=True)
class Source:
    """The contents of one folder or checkpoint.

    settings  values of Hugging Face's REALM configuration
    parts     the networks by role
    weak      roles that this source fills only if no other source does
    block_ND  `block_emb`, the vectors of all passages, if the source has them
    folder    where to look for a tokenizer
    """

    where: Path
    settings: Mapping[str, Any]
    parts: Mapping[str, Part]
    weak: frozenset[str] = frozenset()
    block_ND: Tensor | None = None
    folder: Path | None = None


# Keys of Hugging Face's configuration that make up BERT's; all sources of one model must agree on them.
_BACKBONE_KEYS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "max_position_embeddings",
    "type_vocab_size",
    "layer_norm_eps",
)
_HEAD_KEYS = ("retriever_proj_size", "span_hidden_size", "max_span_width", "reader_layer_norm_eps")
# Hugging Face's defaults, which a config.json may omit; they are the values of Google's release.
DEFAULTS: dict[str, Any] = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu_new",
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "retriever_proj_size": 128,
    "span_hidden_size": 256,
    "max_span_width": 10,
    "reader_layer_norm_eps": 1e-3,
}


def assemble(sources: Sequence[Source], tokenizer: Tokenizer) -> tuple[Realm, dict[str, str]]:
    """One model from the parts of all sources, and a description of where each part comes from.

    A part that no source contains is initialised with the encoder of another part and an untrained head.
    Raises BadInput listing unknown, missing and misshapen tensors, or a role that two sources fill; Mismatch if
    sources or the tokenizer do not fit together.
    """
    settings, chosen = _common_settings(sources), _chosen(sources)
    if not chosen:
        raise BadInput(f"{sources[0].where} contains vectors but no network; add a source with the towers.")
    if tokenizer.vocab_size != settings["vocab_size"]:
        raise Mismatch(
            f"{sources[0].where} has {settings['vocab_size']:,} word pieces, but the tokenizer has "
            f"{tokenizer.vocab_size:,}; give the folder of the matching one with --tokenizer."
        )
    shared = PASSAGE_TOWER in chosen and chosen[PASSAGE_TOWER] is chosen.get(QUERY_TOWER)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # untrained heads are the same in every conversion
        model = _empty(settings, tokenizer, shared=shared)
        if names.SPAN_READER in chosen:
            model.add_span_reader()
    origin = {role: f"from {part.where}" for role, part in chosen.items()}
    for role, part in chosen.items():
        if not (shared and role == QUERY_TOWER):
            _fill(_module(model, role), part)
    model.has_trained_head = names.READER in chosen
    origin |= _initialise_missing(model, chosen)
    return model.eval(), origin


def _common_settings(sources: Sequence[Source]) -> dict[str, Any]:
    """The settings of all sources combined; those that no source gives have Google's values."""
    common: dict[str, Any] = {}
    set_by: dict[str, Path] = {}
    for source in sources:
        for key in (*_BACKBONE_KEYS, *_HEAD_KEYS):
            if key in common and common[key] != source.settings.get(key, common[key]):
                raise Mismatch(
                    f"{source.where} has {key} {source.settings[key]!r}, but {set_by[key]} has "
                    f"{common[key]!r}; only parts of the same model can be converted together."
                )
            set_by.setdefault(key, source.where)
        common = {**source.settings, **common}
    return {**DEFAULTS, **common}


def _chosen(sources: Sequence[Source]) -> dict[str, Part]:
    chosen: dict[str, Part] = {}
    for weak in (False, True):
        for source in sources:
            for role, part in source.parts.items():
                if (role in source.weak) is not weak or (weak and role in chosen):
                    continue
                if role in chosen:
                    raise BadInput(f"Both {chosen[role].where} and {part.where} contain the {role}; give only one.")
                chosen[role] = part
    return {role: chosen[role] for role in ROLES if role in chosen}


def _empty(settings: Mapping[str, Any], tokenizer: Tokenizer, *, shared: bool) -> Realm:
    backbone = {key: settings[key] for key in _BACKBONE_KEYS}
    dropout = {key: settings[key] for key in ("hidden_dropout_prob", "attention_probs_dropout_prob")}
    config = ModelConfig(
        backbone="converted",
        projection="released",
        projection_dim=settings["retriever_proj_size"],
        shared_towers=shared,
        dropout=settings["hidden_dropout_prob"],
        span_hidden=settings["span_hidden_size"],
        norm_eps=float(settings["layer_norm_eps"]),
        span_norm_eps=float(settings["reader_layer_norm_eps"]),
    )
    encoder = backbone_from_config({"model_type": "bert", "pad_token_id": tokenizer.pad_id, **backbone, **dropout})
    return Realm(config, encoder, tokenizer, int(settings["max_span_width"]))


def _module(model: Realm, role: str) -> nn.Module:
    towers = {PASSAGE_TOWER: model.retriever.passage_tower, QUERY_TOWER: model.retriever.query_tower}
    module = towers.get(role) or (model.reader if role == names.READER else model.span_reader)
    assert module is not None, "a span reader is added if there is a part for it"
    return module


def _fill(module: nn.Module, part: Part) -> None:
    """Load a part's tensors. Raises BadInput listing every tensor that does not fit."""
    expected = names.to_huggingface(part.kind, module.state_dict())
    problems = {
        "unknown": [n for n in part.tensors if n not in expected and not names.is_unused(part.kind, n)],
        "missing": [n for n in expected if n not in part.tensors],
    }
    described = [f"{what} {', '.join(map(part.label, found))}" for what, found in problems.items() if found]
    for name in expected.keys() & part.tensors.keys():
        found, wanted = tuple(part.tensors[name].shape), tuple(expected[name].shape)
        if found != wanted:
            described.append(f"misshapen {part.label(name)} (shape {found}, expected {wanted})")
    if described:
        raise BadInput(
            f"{part.where} does not contain the {part.kind} that its configuration describes: {'; '.join(described)}. "
            "Download the weights again, or correct their config.json."
        )
    module.load_state_dict(names.from_huggingface(part.kind, {name: part.tensors[name] for name in expected}))


def _initialise_missing(model: Realm, chosen: Mapping[str, Part]) -> dict[str, str]:
    """Initialise the parts that no source contains with the encoder of one that is there."""
    start = next(role for role in (names.READER, PASSAGE_TOWER, QUERY_TOWER, names.SPAN_READER) if role in chosen)
    weights = _module(model, start).get_submodule("encoder").state_dict()
    absent = [role for role in (PASSAGE_TOWER, QUERY_TOWER, names.READER) if role not in chosen]
    for role in absent:
        _module(model, role).get_submodule("encoder").load_state_dict(weights)
    return dict.fromkeys(absent, f"not in any source; encoder copied from the {start}, head untrained")
