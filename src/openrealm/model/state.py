"""State dicts without duplicates of shared tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from openrealm.errors import DamagedArtefact

M = TypeVar("M", bound=nn.Module)
Shapes = Mapping[str, tuple[tuple[int, ...], torch.dtype]]
"""Shape and type of tensors by name."""


def unique_state(module: nn.Module) -> dict[str, Tensor]:
    """The state dict of `module` with shared tensors under their first name only.

    Safetensors cannot store shared tensors, and towers or encoders may be shared.
    """
    aliases = _aliases(module)
    return {name: tensor for name, tensor in module.state_dict().items() if name not in aliases}


def digest_of_state(module: nn.Module) -> str:
    """Hex SHA-256 of names and values of all tensors of `module`."""
    sha = hashlib.sha256()
    for name, tensor in sorted(unique_state(module).items()):
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def load_unique_state(module: nn.Module, tensors: Mapping[str, Tensor], where: Path) -> None:
    """Load the result of `unique_state`; nothing is loaded if it does not fit.

    where  the file that `tensors` are from, for the message
    Raises DamagedArtefact if tensors are missing, unknown, or of another shape or type.
    """
    check_fits(module, {name: (tuple(t.shape), t.dtype) for name, t in tensors.items()}, where)
    module.load_state_dict(tensors, strict=False)


def check_fits(module: nn.Module, stored: Shapes, where: Path) -> None:
    """Raise DamagedArtefact unless stored tensors, given by shape and type, are those that `module` needs.

    `module` may be on the device "meta", so that it can be checked before memory is allocated for it.
    """
    expected = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in unique_state(module).items()}
    remedy = "save the model again or load it with the settings it was saved with"
    missing, unexpected = sorted(expected.keys() - stored.keys()), sorted(stored.keys() - expected.keys())
    if missing or unexpected:
        raise DamagedArtefact(
            f"{where} does not fit this model: missing {missing[:3]}, unexpected {unexpected[:3]}; {remedy}."
        )
    for name, (shape, dtype) in expected.items():
        if stored[name] != (shape, dtype):
            raise DamagedArtefact(
                f"{where} does not fit this model: {name} is {_shown(*stored[name])}, but {_shown(shape, dtype)} is "
                f"expected; {remedy}."
            )


def built_to_fit(build: Callable[[], M], shapes: Shapes, backbone: Mapping[str, Any], where: Path, config: Path) -> M:
    """The module that `build` makes from a stored configuration, if the weights in `where` are those of such a module.

    It is built without memory first: a damaged configuration may describe a module of any size.

    backbone  settings of the encoder, in the file `config`
    Raises DamagedArtefact if they cannot be built from, or the weights do not fit.
    """
    most = where.stat().st_size
    for name, value in backbone.items():
        limit = len(shapes) if "layer" in name else most
        if isinstance(value, int) and value > limit:
            raise DamagedArtefact(
                f"{config}: backbone.{name} is {value}, but {where.name} holds {limit:,} "
                f"{'tensors' if 'layer' in name else 'bytes'}; save the model again."
            )
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            empty = build()
    except Exception as error:  # transformers raises whatever its code happens to meet
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DamagedArtefact(f"{config} does not describe a model ({reason}); save the model again.") from error
    check_fits(empty, shapes, where)
    return build()


def shapes_in(path: Path) -> Shapes:
    """Shape and type of every tensor of a safetensors file, from its header. Raises DamagedArtefact."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stored:
            parts = {name: stored.get_slice(name) for name in stored.keys()}  # noqa: SIM118
            return {name: (tuple(part.get_shape()), _dtype(part.get_dtype())) for name, part in parts.items()}
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise DamagedArtefact(f"{path} cannot be read as safetensors ({error}); rebuild {path.parent}.") from error


def _dtype(name: str) -> torch.dtype:
    known = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I8": torch.int8}
    return known.get(name, torch.int64)


def _shown(shape: tuple[int, ...], dtype: torch.dtype) -> str:
    return f"{str(dtype).removeprefix('torch.')} of shape {shape}"


def _aliases(module: nn.Module) -> set[str]:
    """All names of shared tensors except their first."""
    seen: set[int] = set()
    aliases: set[str] = set()
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) in seen:
            aliases.add(name)
        seen.add(id(tensor))
    return aliases
