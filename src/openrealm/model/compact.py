"""A quarter or half of the size on disk: matrices in 8 bits with a scale per row or in 16, and equal tensors once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from openrealm.errors import DamagedArtefact
from openrealm.model.state import Shapes

_SCALE, _HALF = ":scale", ":half"
_MIN_SIZE = 4096  # smaller tensors, such as biases and norms, stay as they are


def compacted(state: Mapping[str, Tensor], bits: Literal[8, 16] = 8) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors to store for a state dict, and the names of those that equal another: {name: stored name}.

    In 8 bits the largest entry of each row of a matrix becomes 127 or -127, so that an entry is off by at most 1/254 of
    it. With `bits` of 16 a matrix is stored so only if that is exact, as after loading one, and as float16 otherwise:
    small steps of training would be lost in 8 bits.

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
        small = (tensor.float() / scale_n1.clamp(min=torch.finfo(torch.float32).tiny)).round().to(torch.int8)
        if bits == 16 and not torch.equal(small.float() * scale_n1, tensor.float()):
            half = tensor.half()
            tensors |= {name + _HALF: half} if torch.isfinite(half).all() else {name: tensor}
            continue
        tensors[name], tensors[name + _SCALE] = small, scale_n1
    return tensors, aliases


def expanded(tensors: Mapping[str, Tensor], aliases: Mapping[str, str]) -> dict[str, Tensor]:
    """The state dict of what `compacted` returned, in float32; equal tensors are copies of each other."""
    state = {
        name.removesuffix(_HALF): tensor.float() if name.endswith(_HALF) else tensor
        for name, tensor in tensors.items()
        if not name.endswith(_SCALE)
    }
    for name in state:
        if name + _SCALE in tensors:
            state[name] = state[name].float() * tensors[name + _SCALE]
    return state | {name: state[twin].clone() for name, twin in aliases.items()}


def expanded_shapes(shapes: Shapes, aliases: Mapping[str, str], where: Path) -> Shapes:
    """Shapes and types of what `expanded` returns, from those stored in the file `where`. Raises DamagedArtefact."""
    out = {}
    for name, (shape, dtype) in shapes.items():
        if name.endswith(_SCALE):
            continue
        if dtype == torch.int8 and shapes.get(name + _SCALE) != ((shape[0], 1), torch.float32):
            raise DamagedArtefact(f"{where}: {name} has no scale for each of its rows; save the model again.")
        is_small = dtype == torch.int8 or (name.endswith(_HALF) and dtype == torch.float16)
        out[name.removesuffix(_HALF)] = (shape, torch.float32 if is_small else dtype)
    if unknown := sorted(set(aliases.values()) - out.keys()):
        raise DamagedArtefact(f"{where} lacks {unknown[0]}, which config.json refers to; save the model again.")
    return out | {name: out[twin] for name, twin in aliases.items()}
