"""Parts of other projects put together into one model; every tensor that is unknown, missing or misshapen is named."""

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
    """One network of a source: its tensors under Hugging Face's names.

    label  what the source itself calls a tensor, for messages
    """

    kind: str
    where: Path
    tensors: Mapping[str, Tensor]
    label: Callable[[str], str] = str


@dataclass(frozen=True)
class Source:
    """What one folder or checkpoint holds.

    settings  values of Hugging Face's REALM configuration
    parts     by role; `weak` names roles that this source fills only where no other does
    block_ND  `block_emb`, the vectors of all passages, where there are any
    folder    where a tokenizer may lie
    """

    where: Path
    settings: Mapping[str, Any]
    parts: Mapping[str, Part]
    weak: frozenset[str] = frozenset()
    block_ND: Tensor | None = None
    folder: Path | None = None


# Theirs to BERT's configuration here; all sources of one model have to agree on these.
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
# Defaults of Hugging Face's configuration, which a config.json may leave out; they are those of Google's release.
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
    """One model of all sources' parts, and for each role where it comes from, in words.

    A part that no source holds starts from the encoder of one that is there, its head fresh.
    Raises BadInput listing unknown, missing and misshapen tensors, or a role that two sources claim; Mismatch where
    sources or the tokenizer do not fit together.
    """
    settings, chosen = _common_settings(sources), _chosen(sources)
    if not chosen:
        raise BadInput(f"{sources[0].where} holds no network, only vectors; give a source with the towers too.")
    if tokenizer.vocab_size != settings["vocab_size"]:
        raise Mismatch(
            f"{sources[0].where} has {settings['vocab_size']:,} word pieces, the tokenizer {tokenizer.vocab_size:,}; "
            "give the tokenizer's folder with --tokenizer."
        )
    shared = PASSAGE_TOWER in chosen and chosen[PASSAGE_TOWER] is chosen.get(QUERY_TOWER)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # fresh heads are the same in every conversion
        model = _empty(settings, tokenizer, shared=shared)
        if names.SPAN_READER in chosen:
            model.add_span_reader()
    origin = {role: f"from {part.where}" for role, part in chosen.items()}
    for role, part in chosen.items():
        if not (shared and role == QUERY_TOWER):
            _fill(_module(model, role), part)
    origin |= _stand_in(model, chosen)
    return model.eval(), origin


def _common_settings(sources: Sequence[Source]) -> dict[str, Any]:
    """The settings of all sources together; what none of them tells is the released default."""
    common: dict[str, Any] = {}
    told_by: dict[str, Path] = {}
    for source in sources:
        for key in (*_BACKBONE_KEYS, *_HEAD_KEYS):
            if key in common and common[key] != source.settings.get(key, common[key]):
                raise Mismatch(
                    f"{source.where} has {key} {source.settings[key]!r}, {told_by[key]} has {common[key]!r}; "
                    "convert parts of one model together."
                )
            told_by.setdefault(key, source.where)
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
                    raise BadInput(f"Both {chosen[role].where} and {part.where} hold the {role}; give one of them.")
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
    assert module is not None, "a span reader was added for its part"
    return module


def _fill(module: nn.Module, part: Part) -> None:
    """Load a part's tensors, or raise BadInput with every name that does not fit."""
    expected = names.theirs(part.kind, module.state_dict())
    problems = {
        "unknown": [n for n in part.tensors if n not in expected and not names.is_unused(part.kind, n)],
        "missing": [n for n in expected if n not in part.tensors],
    }
    described = [f"{what} {', '.join(map(part.label, found))}" for what, found in problems.items() if found]
    for name in expected.keys() & part.tensors.keys():
        found, wanted = tuple(part.tensors[name].shape), tuple(expected[name].shape)
        if found != wanted:
            described.append(f"misshapen {part.label(name)} (it is {found}, {wanted} is expected)")
    if described:
        raise BadInput(
            f"{part.where} does not hold the {part.kind} that its configuration describes: {'; '.join(described)}. "
            "Fetch the weights again, or correct the configuration beside them."
        )
    module.load_state_dict(names.ours(part.kind, {name: part.tensors[name] for name in expected}))


def _stand_in(model: Realm, chosen: Mapping[str, Part]) -> dict[str, str]:
    """Start the parts that no source holds from the encoder of one that is there."""
    start = next(role for role in (names.READER, PASSAGE_TOWER, QUERY_TOWER, names.SPAN_READER) if role in chosen)
    weights = _module(model, start).get_submodule("encoder").state_dict()
    absent = [role for role in (PASSAGE_TOWER, QUERY_TOWER, names.READER) if role not in chosen]
    for role in absent:
        _module(model, role).get_submodule("encoder").load_state_dict(weights)
    return dict.fromkeys(absent, f"in no source: the encoder is the {start}'s, the head is fresh")
