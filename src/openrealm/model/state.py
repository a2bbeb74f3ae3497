"""Weights of a module by name, each tensor once, however many names share it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from openrealm.errors import DamagedArtefact


def unique_state(module: nn.Module) -> dict[str, Tensor]:
    """The state dict of `module` without aliases: a tensor that several names share is kept under its first name.

    Safetensors cannot store shared tensors, and towers or encoders may be shared.
    """
    aliases = _aliases(module)
    return {name: tensor for name, tensor in module.state_dict().items() if name not in aliases}


def load_unique_state(module: nn.Module, tensors: Mapping[str, Tensor], where: Path) -> None:
    """Load what `unique_state` returned. Raises DamagedArtefact naming `where` if a tensor is missing or unknown."""
    missing, unexpected = module.load_state_dict(tensors, strict=False)
    missing = sorted(set(missing) - _aliases(module))
    if missing or unexpected:
        raise DamagedArtefact(
            f"{where} does not fit this model: missing {missing[:3]}, unexpected {unexpected[:3]}; "
            "save the model again or load it with the settings it was saved with."
        )


def _aliases(module: nn.Module) -> set[str]:
    """Names of tensors that already have another name."""
    seen: set[int] = set()
    aliases: set[str] = set()
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) in seen:
            aliases.add(name)
        seen.add(id(tensor))
    return aliases
