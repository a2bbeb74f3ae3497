"""Checkpoints: weights, Adam's state, the random generators and the place in the data, whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from openrealm import files
from openrealm.errors import Mismatch
from openrealm.model.realm import Realm

_KEPT = 2


def save(folder: Path, step: int, model: Realm, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> Path:
    """Publish `folder`/step-N and delete all but the last two. `state` is plain JSON (metrics line count, index version, …)."""
    target = folder / f"step-{step:08d}"
    adam: dict[str, Tensor] = {}
    packed = optimizer.state_dict()
    for number, entry in packed["state"].items():
        adam.update({f"{number}.{name}": torch.as_tensor(value) for name, value in entry.items()})
    with files.new_folder(target, {"kind": "checkpoint", "step": step}) as out:
        files.write_safetensors(out / "model.safetensors", model.own_state())
        files.write_safetensors(out / "optimizer.safetensors", adam | {"rng": torch.get_rng_state()})
        files.write_json(out / "state.json", state | {"step": step})
    for old in checkpoints(folder)[:-_KEPT]:
        shutil.rmtree(old)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """Finished checkpoints, oldest first."""
    return sorted(path.parent for path in folder.glob(f"step-*/{files.MANIFEST}"))


def load(path: Path, model: Realm, optimizer: torch.optim.Optimizer, config_digest: str) -> dict[str, Any]:
    """Restore everything `save` stored; returns its `state`. Raises Mismatch when another configuration wrote it."""
    from safetensors.torch import load_file

    files.read_manifest(path)
    state: dict[str, Any] = files.read_json(path / "state.json")
    if state["config_digest"] != config_digest:
        raise Mismatch(
            f"{path} was written with another configuration: its digest is {state['config_digest'][:16]}, the one in use is "
            f"{config_digest[:16]}; resume with the same settings, or start again without --resume."
        )
    model.load_state_dict(load_file(path / "model.safetensors"), strict=False)
    stored = load_file(path / "optimizer.safetensors")
    torch.set_rng_state(stored.pop("rng"))
    adam: dict[int, dict[str, Tensor]] = {}
    for name, tensor in stored.items():
        number, key = name.split(".", 1)
        adam.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({"state": adam, "param_groups": optimizer.state_dict()["param_groups"]})
    return state
