"""Reading Google's checkpoints without TensorFlow: tensor bundles (`.index` and `.data-…`) or `.npz` archives.

A checkpoint does not contain its configuration. Sizes are inferred from the shapes of the tensors; activation and
epsilons are those of Google's BERT.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from openrealm.convert import names
from openrealm.convert.assemble import PASSAGE_TOWER, QUERY_TOWER, Part, Source
from openrealm.convert.bundle import read_bundle
from openrealm.errors import BadInput

Arrays = Mapping[str, npt.NDArray[Any]]

# The optimiser's state, and a head that REALM does not use.
_SLOTS = re.compile(
    r"(^|/)(adam_[mv](_\d+)?|AdamWeightDecayOptimizer(_\d+)?|global_step|_CHECKPOINTABLE_OBJECT_GRAPH)($|/)"
)
_UNUSED = re.compile(r"(^|/)cls/seq_relationship/")
_HEAD_WIDTH = 64  # in every BERT that Google released


def is_checkpoint(path: Path) -> bool:
    """Whether `path` is a .npz archive or names a tensor bundle (its prefix, or its .index file)."""
    return path.suffix == ".npz" or _index_file(path).is_file()


def _index_file(path: Path) -> Path:
    return path if path.suffix == ".index" else path.with_name(path.name + ".index")


def read(path: Path, tokenizer_folder: Path | None = None, num_heads: int | None = None) -> Source:
    """The parts of a checkpoint: a tower in `module/`, a masked-token reader in `bert/` and `cls/`, a span reader in
    `reader/`.

    num_heads  attention heads; None means one per 64 hidden units
    Raises BadInput listing tensors that belong to no part.
    """
    arrays = {
        name: array for name, array in _arrays(path).items() if not _SLOTS.search(name) and not _UNUSED.search(name)
    }
    block = arrays.pop("block_emb", None)
    block_ND = None if block is None else torch.from_numpy(np.array(block, dtype=np.float32))
    scopes = _scopes(arrays)
    if not scopes and block_ND is None:
        raise BadInput(
            f"{path} contains no tensors of REALM (bert/…, module/…, reader/… or block_emb); give a REALM checkpoint."
        )
    parts: dict[str, Part] = {}
    used: set[str] = set()
    for kind, rename in scopes.items():
        parts[kind] = _part(path, kind, rename, arrays, used)
    unknown = sorted(set(arrays) - used)
    if unknown:
        raise BadInput(f"{path}: unknown {', '.join(unknown)}; Google's REALM has no such tensors.")
    settings = _settings(parts, num_heads)
    roles = {role: part for role, part in parts.items() if role != names.TOWER}
    weak: frozenset[str] = frozenset()
    if names.TOWER in parts:
        roles |= {PASSAGE_TOWER: parts[names.TOWER], QUERY_TOWER: parts[names.TOWER]}
        # The tower of a fine-tuned checkpoint was trained on questions; passages were encoded by the pre-trained one.
        weak = frozenset({PASSAGE_TOWER if names.SPAN_READER in parts else QUERY_TOWER})
    return Source(path, settings, roles, weak, block_ND, tokenizer_folder)


def _arrays(path: Path) -> Arrays:
    if path.suffix != ".npz":
        return read_bundle(_index_file(path))
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise BadInput(
            f"{path} cannot be read as a NumPy archive ({error}); save it again with numpy.savez."
        ) from error


def _scopes(arrays: Arrays) -> dict[str, Callable[[str], str]]:
    """The parts in a checkpoint, each with a function from names within the part to names in the checkpoint."""
    scopes: dict[str, Callable[[str], str]] = {}
    tower = next((m for m in (re.match(r"((?:module/)+)module/bert/", n) for n in arrays) if m), None)
    if tower is not None:
        head = tower[1]
        scopes[names.TOWER] = lambda name: f"{head}module/{name}" if name.startswith(("bert/", "cls/")) else head + name
    if any(name.startswith("bert/") for name in arrays):
        scopes[names.READER] = str
    if any(name.startswith("reader/") for name in arrays):
        scopes[names.SPAN_READER] = lambda name: (
            f"reader/module/{name}" if name.startswith(("bert/", "cls/")) else f"reader/{name}"
        )
    return scopes


def _part(where: Path, kind: str, rename: Callable[[str], str], arrays: Arrays, used: set[str]) -> Part:
    """One part's tensors under Hugging Face's names; their names in the checkpoint are added to `used`."""

    def label(name: str) -> str:
        return rename(names.tensorflow_name(kind, name))

    stored = {label(name): name for name in _hugging_face_names(kind, arrays)}
    tensors: dict[str, Tensor] = {}
    for google, array in arrays.items():
        if google in stored:
            value = array.T if google.endswith("/kernel") else array
            tensors[stored[google]] = torch.from_numpy(np.array(value, dtype=np.float32))
            used.add(google)
    return Part(kind, where, tensors, label)


def _hugging_face_names(kind: str, arrays: Arrays) -> list[str]:
    """Every name that a part may have; the number of layers is that of the checkpoint."""
    layers = [int(m[1]) for m in (re.search(r"/layer_(\d+)/", name) for name in arrays) if m]
    norm, dense = ("weight", "bias"), ("weight", "bias")
    found = [f"realm.embeddings.{n}_embeddings.weight" for n in ("word", "position", "token_type")]
    found += [f"realm.embeddings.LayerNorm.{n}" for n in norm] + [f"realm.pooler.dense.{n}" for n in dense]
    for layer in range(max(layers, default=-1) + 1):
        inside = [
            f"attention.{n}" for n in ("self.query", "self.key", "self.value", "output.dense", "output.LayerNorm")
        ]
        inside += ["intermediate.dense", "output.dense", "output.LayerNorm"]
        found += [f"realm.encoder.layer.{layer}.{place}.{n}" for place in inside for n in dense]
    found += [f"cls.predictions.transform.{place}.{n}" for place in ("dense", "LayerNorm") for n in dense]
    found.append("cls.predictions.bias")
    if kind == names.TOWER:
        found += [f"cls.{place}.{n}" for place in ("dense", "LayerNorm") for n in dense]
    if kind == names.SPAN_READER:
        heads = ("dense_intermediate", "dense_output", "layer_normalization")
        found += [f"qa_outputs.{place}.{n}" for place in heads for n in dense]
    return found


def _settings(parts: Mapping[str, Part], num_heads: int | None) -> dict[str, Any]:
    """The configuration as far as shapes tell it; the size of a missing tensor is left at Google's default."""
    first = next(iter(parts.values()), None)
    if first is None:
        return {}
    shapes = {name: tuple(tensor.shape) for part in parts.values() for name, tensor in part.tensors.items()}

    def size(name: str, axis: int = 0) -> int | None:
        return shapes[name][axis] if name in shapes and len(shapes[name]) > axis else None

    hidden = size("realm.embeddings.word_embeddings.weight", 1)
    span = size("qa_outputs.dense_output.weight", 1)
    layers = {int(m[1]) for m in (re.match(r"realm\.encoder\.layer\.(\d+)\.", name) for name in shapes) if m}
    sizes = {
        "vocab_size": size("realm.embeddings.word_embeddings.weight"),
        "hidden_size": hidden,
        "num_hidden_layers": max(layers, default=-1) + 1,
        "num_attention_heads": num_heads or (max(1, hidden // _HEAD_WIDTH) if hidden else None),
        "intermediate_size": size("realm.encoder.layer.0.intermediate.dense.bias"),
        "max_position_embeddings": size("realm.embeddings.position_embeddings.weight"),
        "type_vocab_size": size("realm.embeddings.token_type_embeddings.weight"),
        "retriever_proj_size": size("cls.dense.bias"),
        "span_hidden_size": span,
    }
    return {key: value for key, value in sizes.items() if value is not None}
