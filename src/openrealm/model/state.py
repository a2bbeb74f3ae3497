"""State dicts without duplicates of shared tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from openrealm.errors import DamagedArtefact


def unique_state(module: nn.Module) -> dict[str, Tensor]:
    """The state dict of `module` with shared tensors under their first name only.

    Safetensors cannot store shared tensors, and towers or encoders may be shared.
    """
    aliases = _aliases(module)
    return {name: tensor for name, tensor in module.state_dict().items() if name not in aliases}


def load_unique_state(module: nn.Module, tensors: Mapping[str, Tensor], where: Path) -> None:
    """Load the result of `unique_state`. Raises DamagedArtefact if tensors are missing or unknown.

    where  the file that `tensors` are from, for the message
    """
    missing, unexpected = module.load_state_dict(tensors, strict=False)
    missing = sorted(set(missing) - _aliases(module))
    if missing or unexpected:
        raise DamagedArtefact(
            f"{where} does not fit this model: missing {missing[:3]}, unexpected {unexpected[:3]}; "
            "save the model again or load it with the settings it was saved with."
        )


def _aliases(module: nn.Module) -> set[str]:
    """All names of shared tensors except their first."""
    seen: set[int] = set()
    aliases: set[str] = set()
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) in seen:
            aliases.add(name)
        seen.add(id(tensor))
    return aliases
