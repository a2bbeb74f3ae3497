"""Reading and writing Hugging Face's REALM folders (transformers up to 4.39)."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from openrealm import files
from openrealm.convert import names
from openrealm.convert.assemble import DEFAULTS, PASSAGE_TOWER, QUERY_TOWER, Part, Source
from openrealm.errors import BadInput
from openrealm.model.realm import Realm

_WEIGHTS, _SETTINGS = "model.safetensors", "config.json"
_DECODER, _TABLE = "cls.predictions.decoder.weight", "realm.embeddings.word_embeddings.weight"

# The parts of an architecture with the prefixes of their tensors, and those that it provides only if no other source
# does: the embedder of an open-QA model was trained on questions, but the vectors of its passages come from the
# pre-trained embedder.
_ARCHITECTURES: dict[str, tuple[dict[str, tuple[str, str]], frozenset[str]]] = {
    "RealmEmbedder": (
        {PASSAGE_TOWER: (names.TOWER, ""), QUERY_TOWER: (names.TOWER, "")},
        frozenset({QUERY_TOWER}),
    ),
    "RealmScorer": (
        {PASSAGE_TOWER: (names.TOWER, "embedder."), QUERY_TOWER: (names.TOWER, "query_embedder.")},
        frozenset(),
    ),
    "RealmKnowledgeAugEncoder": ({names.READER: (names.READER, "")}, frozenset()),
    "RealmReader": ({names.SPAN_READER: (names.SPAN_READER, "")}, frozenset()),
    "RealmForOpenQA": (
        {
            PASSAGE_TOWER: (names.TOWER, "embedder."),
            QUERY_TOWER: (names.TOWER, "embedder."),
            names.SPAN_READER: (names.SPAN_READER, "reader."),
        },
        frozenset({PASSAGE_TOWER}),
    ),
}


def is_realm_folder(folder: Path) -> bool:
    """Whether `folder` has a config.json of model type realm."""
    return (folder / _SETTINGS).is_file() and _settings(folder / _SETTINGS).get("model_type") == "realm"


def read(folder: Path) -> Source:
    """The parts in one folder. Raises BadInput if it holds none of the five architectures, no safetensors, or tensors
    that belong to no part."""
    settings = _settings(folder / _SETTINGS)
    tensors = _weights(folder)
    architecture = (settings.get("architectures") or [_guessed(tensors)])[0]
    if architecture not in _ARCHITECTURES:
        known = ", ".join(_ARCHITECTURES)
        raise BadInput(f"{folder / _SETTINGS} names the architecture {architecture!r}; expected one of {known}.")
    roles, weak = _ARCHITECTURES[architecture]
    if architecture == "RealmScorer" and not any(name.startswith("query_embedder.") for name in tensors):
        roles = {**roles, QUERY_TOWER: roles[PASSAGE_TOWER]}  # shared towers are stored once
    block_ND = tensors.pop("block_emb", None)
    prefixes = sorted({prefix for _, prefix in roles.values()})
    unknown = [name for name in tensors if not name.startswith(tuple(prefixes))]
    if unknown:
        raise BadInput(f"{folder}: unknown {', '.join(unknown)}; a {architecture} has no such tensors.")
    by_prefix: dict[str, Part] = {}
    for kind, prefix in dict.fromkeys(roles.values()):
        own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        by_prefix[prefix] = Part(kind, folder, own, partial(operator.add, prefix))
        _check_tied(by_prefix[prefix])
    settings = {**DEFAULTS, **settings}
    return Source(
        folder, settings, {role: by_prefix[prefix] for role, (_, prefix) in roles.items()}, weak, block_ND, folder
    )


def _settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path} is not valid JSON ({error}); give a folder with the config.json of a REALM model."
        ) from error
    if not isinstance(settings, dict):
        raise BadInput(
            f"{path} contains a {type(settings).__name__}, not a configuration; give the config.json of a REALM model."
        )
    return settings


def _weights(folder: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not (folder / _WEIGHTS).is_file():
        raise BadInput(
            f"{folder} has no {_WEIGHTS}; pytorch_model.bin is a pickle, and pickles are never read: load it with "
            "transformers 4.39 and call save_pretrained(folder, safe_serialization=True)."
        )
    try:
        return {name: tensor.float() for name, tensor in load_file(folder / _WEIGHTS).items()}
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{folder / _WEIGHTS} cannot be read as safetensors ({error}); download it again.") from error


def _guessed(tensors: Mapping[str, Tensor]) -> str:
    """The architecture guessed from the names of its tensors, for a config.json without one."""
    for prefix, architecture in (
        ("reader.", "RealmForOpenQA"),
        ("embedder.", "RealmScorer"),
        ("qa_outputs.", "RealmReader"),
        ("cls.dense.", "RealmEmbedder"),
    ):
        if any(name.startswith(prefix) for name in tensors):
            return architecture
    return "RealmKnowledgeAugEncoder"


def _check_tied(part: Part) -> None:
    """Raise BadInput if a masked-token head does not share the word embeddings, as openrealm's does."""
    if part.kind != names.READER:
        return
    for decoder, tied in ((_DECODER, _TABLE), ("cls.predictions.decoder.bias", "cls.predictions.bias")):
        both = decoder in part.tensors and tied in part.tensors
        if both and not torch.equal(part.tensors[decoder], part.tensors[tied]):
            raise BadInput(f"{part.where}: {part.label(decoder)} differs from {part.label(tied)}; they must be tied.")


def write(model: Realm, folder: Path, block_ND: Tensor | None = None) -> list[Path]:
    """Write the folders `embedder`, `scorer` and `encoder` into `folder`, and with a span reader `reader` and `openqa`.

    block_ND  vectors of all passages, which become `block_emb` of the open-QA model
    Raises BadInput if the towers or the encoder have no counterpart in Hugging Face's REALM; nothing is written then.
    """
    settings = _huggingface_settings(model, 0 if block_ND is None else len(block_ND))
    retriever, span_reader = model.retriever, model.span_reader
    passage = names.to_huggingface(names.TOWER, retriever.passage_tower.state_dict())
    query = names.to_huggingface(names.TOWER, retriever.query_tower.state_dict())
    folders = {
        "embedder": ("RealmEmbedder", passage),
        "scorer": ("RealmScorer", _under("embedder.", passage) | _under("query_embedder.", query)),
        "encoder": ("RealmKnowledgeAugEncoder", names.to_huggingface(names.READER, model.reader.state_dict())),
    }
    if span_reader is not None:
        reader = names.to_huggingface(names.SPAN_READER, span_reader.state_dict())
        blocks = torch.zeros(0, model.config.projection_dim) if block_ND is None else block_ND
        folders["reader"] = ("RealmReader", reader)
        whole = _under("embedder.", query) | _under("reader.", reader)
        folders["openqa"] = ("RealmForOpenQA", whole | {"block_emb": blocks})
    with files.new_folder(folder, {"kind": "huggingface"}) as out:
        for name, (architecture, tensors) in folders.items():
            files.write_safetensors(out / name / _WEIGHTS, tensors, {"format": "pt"})
            files.write_json(out / name / _SETTINGS, settings | {"architectures": [architecture]})
            model.tokenizer.save(out / name)
    return [folder / name for name in folders]


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _huggingface_settings(model: Realm, num_blocks: int) -> dict[str, Any]:
    """Hugging Face's configuration of the model. Raises BadInput naming what it cannot express."""
    config, backbone = model.config, model.backbone_settings
    wanted = {
        "model.projection": "released",
        "model.pooling": "cls",
        "model.normalize": False,
        "model.temperature": 1.0,
    }
    for key, value in wanted.items():
        found = getattr(config, key.split(".")[1])
        if found != value:
            raise BadInput(
                f"{key} of this model is {found!r}, but Hugging Face's REALM supports only {value!r}; train with that "
                "setting, or convert --to sentence-transformers."
            )
    if backbone.get("model_type") != "bert":
        raise BadInput(
            f"The encoder of this model is of type {backbone.get('model_type')}; Hugging Face's REALM needs type bert."
        )
    if config.norm_eps != backbone["layer_norm_eps"]:
        raise BadInput(
            f"model.norm_eps is {config.norm_eps:g} and the encoder's is {backbone['layer_norm_eps']:g}, but Hugging "
            "Face's REALM has one epsilon for both; train with equal ones."
        )
    return {
        "model_type": "realm",
        "transformers_version": "4.39.3",
        **{key: backbone[key] for key in DEFAULTS if key in backbone},
        "pad_token_id": model.specials.pad,
        "retriever_proj_size": config.projection_dim,
        "span_hidden_size": config.span_hidden,
        "max_span_width": model.max_span_tokens,
        "reader_layer_norm_eps": config.span_norm_eps,
        "num_block_records": num_blocks,
    }
