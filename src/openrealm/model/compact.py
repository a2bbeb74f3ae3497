"""A quarter of the size on disk: matrices in 8 bits with a scale per row, and equal tensors once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from openrealm.errors import DamagedArtefact
from openrealm.model.state import Shapes

_SCALE = ":scale"
_MIN_SIZE = 4096  # smaller tensors, such as biases and norms, stay as they are


def compacted(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors to store for a state dict, and the names of those that equal another: {name: stored name}.

    The largest entry of each row of a matrix becomes 127 or -127, so that an entry is off by at most 1/254 of it.

    >>> tensors, aliases = compacted({"a": torch.eye(64), "b": torch.eye(64), "bias": torch.ones(3)})
    >>> sorted(tensors), aliases
    (['a', 'a:scale', 'bias'], {'b': 'a'})
    """
    tensors: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    kept: dict[tuple[tuple[int, ...], float], list[str]] = {}
    for name, tensor in state.items():
        alike = kept.setdefault((tuple(tensor.shape), float(tensor.double().sum())), [])
        twin = next((other for other in alike if torch.equal(state[other], tensor)), None)
        if twin is not None:
            aliases[name] = twin
            continue
        alike.append(name)
        if tensor.ndim != 2 or tensor.numel() < _MIN_SIZE or not tensor.is_floating_point():
            tensors[name] = tensor
            continue
        scale_n1 = tensor.float().abs().amax(dim=1, keepdim=True) / 127
        tensors[name] = (tensor.float() / scale_n1.clamp(min=torch.finfo(torch.float32).tiny)).round().to(torch.int8)
        tensors[name + _SCALE] = scale_n1
    return tensors, aliases


def expanded(tensors: Mapping[str, Tensor], aliases: Mapping[str, str]) -> dict[str, Tensor]:
    """The state dict of what `compacted` returned, in float32; equal tensors are copies of each other."""
    state = {
        name: tensor.float() * tensors[name + _SCALE] if name + _SCALE in tensors else tensor
        for name, tensor in tensors.items()
        if not name.endswith(_SCALE)
    }
    return state | {name: state[twin].clone() for name, twin in aliases.items()}


def expanded_shapes(shapes: Shapes, aliases: Mapping[str, str], where: Path) -> Shapes:
    """Shapes and types of what `expanded` returns, from those stored in the file `where`. Raises DamagedArtefact."""
    out = {}
    for name, (shape, dtype) in shapes.items():
        if name.endswith(_SCALE):
            continue
        if dtype == torch.int8:
            if shapes.get(name + _SCALE) != ((shape[0], 1), torch.float32):
                raise DamagedArtefact(f"{where}: {name} has no scale for each of its rows; save the model again.")
            dtype = torch.float32
        out[name] = (shape, dtype)
    if unknown := sorted(set(aliases.values()) - out.keys()):
        raise DamagedArtefact(f"{where} lacks {unknown[0]}, which config.json refers to; save the model again.")
    return out | {name: out[twin] for name, twin in aliases.items()}
