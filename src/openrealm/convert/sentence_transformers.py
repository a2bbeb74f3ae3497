"""Export of the towers as folders that sentence-transformers loads; the package itself is not needed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from openrealm import files
from openrealm.errors import BadInput
from openrealm.model.realm import Realm
from openrealm.model.retriever import Tower
from openrealm.text.export import Text, save_for_transformers

Modules = list[tuple[str, str]]

_MODULE = "sentence_transformers.models."
_LINEAR, _TANH = "torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Tanh"
_SETTINGS: dict[str, Any] = {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "dot"}
_NORM_EPS = 1e-5  # of sentence-transformers' LayerNorm module, which has no setting for it


def write(model: Realm, folder: Path) -> list[Path]:
    """Write `folder` with the towers `query` and `passage` in it; shared towers are written twice.

    Each tower can be loaded by itself. `folder` as a whole is a model whose `encode_query` uses the one and whose
    `encode_document` the other. A query is one text, a passage the pair (title, text) or a text without a title. The
    vectors are those of the towers: divide inner products by `model.temperature` to obtain scores. Raises BadInput if
    the encoder is not a BERT.
    """
    if model.backbone_settings.get("model_type") != "bert":
        kind = model.backbone_settings.get("model_type")
        raise BadInput(f"The encoder of this model is of type {kind}; only towers of type bert can be exported.")
    towers: dict[Text, Tower] = {"query": model.retriever.query_tower, "passage": model.retriever.passage_tower}
    with files.new_folder(folder, {"kind": "sentence-transformers"}) as out:
        modules = {name: _write_tower(name, tower, model, out / name) for name, tower in towers.items()}
        _write_router(modules, out)
    return [folder, *(folder / name for name in towers)]


def _write_router(modules: Mapping[Text, Modules], out: Path) -> None:
    """A module that passes queries to the one tower and documents to the other; it refers to their folders."""
    paths = {name: [f"{name}/{path}" for path, _ in found] for name, found in modules.items()}
    types = {f"{name}/{path}": _MODULE + kind for name, found in modules.items() for path, kind in found}
    files.write_json(out / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": f"{_MODULE}Router"}])
    files.write_json(
        out / "router_config.json",
        {
            "types": types,
            "structure": {"query": paths["query"], "document": paths["passage"]},
            "parameters": {"default_route": "document", "allow_empty_key": True},
        },
    )
    files.write_json(out / "config_sentence_transformers.json", _SETTINGS)


def _write_tower(single: Text, tower: Tower, model: Realm, out: Path) -> Modules:
    """Write a tower; returns its modules as folders and types."""
    modules = [("0_Transformer", "Transformer"), ("1_Pooling", "Pooling"), *_write_projection(tower, out)]
    if tower.normalize:
        modules.append((f"{len(modules)}_Normalize", "Normalize"))
        (out / modules[-1][0]).mkdir(parents=True)
    files.write_json(
        out / "modules.json",
        [{"idx": i, "name": str(i), "path": path, "type": _MODULE + kind} for i, (path, kind) in enumerate(modules)],
    )
    files.write_json(
        out / "config_sentence_transformers.json",
        _SETTINGS,
    )
    transformer = out / "0_Transformer"
    settings = {**model.backbone_settings, "architectures": ["BertModel"], "model_type": "bert"}
    _write_weights(transformer, tower.encoder.backbone.state_dict())
    files.write_json(transformer / "config.json", settings)
    longest = int(settings["max_position_embeddings"])
    files.write_json(transformer / "sentence_bert_config.json", {"max_seq_length": longest, "do_lower_case": False})
    save_for_transformers(model.tokenizer, transformer, longest, single)
    files.write_json(
        out / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": tower.encoder.hidden_size,
            "pooling_mode_cls_token": tower.pooling == "cls",
            "pooling_mode_mean_tokens": tower.pooling == "mean",
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    )
    return modules


def _write_projection(tower: Tower, out: Path) -> Modules:
    """The modules after pooling: one linear layer, or the three of the released code."""
    if tower.pooler is None or tower.norm is None:
        _write_dense(out / "2_Dense", tower.projection, _LINEAR)
        return [("2_Dense", "Dense")]
    pooler: Any = tower.pooler[0]
    _write_dense(out / "2_Dense", pooler, _TANH)
    # Scaling the input of a LayerNorm has the effect of another epsilon.
    scale = math.sqrt(_NORM_EPS / tower.norm.eps)
    _write_dense(out / "3_Dense", tower.projection, _LINEAR, scale)
    _write_weights(out / "4_LayerNorm", {f"norm.{n}": tensor for n, tensor in tower.norm.state_dict().items()})
    files.write_json(out / "4_LayerNorm" / "config.json", {"dimension": tower.projection.out_features})
    return [("2_Dense", "Dense"), ("3_Dense", "Dense"), ("4_LayerNorm", "LayerNorm")]


def _write_dense(out: Path, layer: nn.Linear, activation: str, scale: float = 1.0) -> None:
    _write_weights(out, {f"linear.{name}": tensor * scale for name, tensor in layer.state_dict().items()})
    files.write_json(
        out / "config.json",
        {
            "in_features": layer.in_features,
            "out_features": layer.out_features,
            "bias": layer.bias is not None,
            "activation_function": activation,
        },
    )


def _write_weights(out: Path, tensors: Mapping[str, Tensor]) -> None:
    files.write_safetensors(out / "model.safetensors", tensors, {"format": "pt"})
