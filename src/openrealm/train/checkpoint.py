"""Checkpoints: weights, optimiser state, random generators and JSON state, published atomically."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from openrealm import files
from openrealm.errors import Mismatch
from openrealm.model.state import load_unique_state, unique_state

_KEPT = 2
_CPU_GENERATOR, _CUDA_GENERATOR = "rng", "cuda_rng."


def save(folder: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> Path:
    """Publish the checkpoint `folder`/step-N and delete all but the last two; returns its folder.

    state  JSON values; `load` compares its "fingerprint"
    """
    target = folder / f"step-{step:08d}"
    adam: dict[str, Tensor] = {}
    packed = optimizer.state_dict()
    for number, entry in packed["state"].items():
        adam.update({f"{number}.{name}": torch.as_tensor(value) for name, value in entry.items()})
    with files.new_folder(target, {"kind": "checkpoint", "step": step}) as out:
        files.write_safetensors(out / "model.safetensors", unique_state(model))
        files.write_safetensors(out / "optimizer.safetensors", adam | _generators())
        files.write_json(out / "state.json", state | {"step": step})
    for old in checkpoints(folder)[:-_KEPT]:
        files.remove_folder(old)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints in `folder`, oldest first."""
    return sorted(path.parent for path in folder.glob(f"step-*/{files.MANIFEST}"))


def remove_all(folder: Path) -> None:
    """Delete the checkpoints of an earlier training, so that they are not mistaken for those of a new one."""
    for old in checkpoints(folder):
        files.remove_folder(old)


def load(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: str) -> dict[str, Any]:
    """Restore model, optimiser and random generators from a checkpoint; returns the stored `state`.

    Raises Mismatch if its fingerprint is not `fingerprint`, DamagedArtefact if a file is damaged or does not fit.
    """
    files.read_manifest(path)
    state: dict[str, Any] = files.read_json(path / "state.json")
    if state["fingerprint"] != fingerprint:
        raise Mismatch(
            f"{path} was written with other settings: its digest is {state['fingerprint'][:16]}, the one in "
            f"use is {fingerprint[:16]}; resume with the same settings, or start over without resume."
        )
    load_unique_state(model, load_file(path / "model.safetensors"), path / "model.safetensors")
    stored = load_file(path / "optimizer.safetensors")
    _set_generators(stored)
    adam: dict[int, dict[str, Tensor]] = {}
    for name, tensor in stored.items():
        number, key = name.split(".", 1)
        adam.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({"state": adam, "param_groups": optimizer.state_dict()["param_groups"]})
    return state


def _generators() -> dict[str, Tensor]:
    """States of this process's random generators: of the CPU and of all CUDA devices in use."""
    states = {_CPU_GENERATOR: torch.get_rng_state()}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states |= {f"{_CUDA_GENERATOR}{n}": state for n, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def _set_generators(stored: dict[str, Tensor]) -> None:
    """Remove the generators' states from `stored` and set the generators to them."""
    torch.set_rng_state(stored.pop(_CPU_GENERATOR))
    for name in [name for name in stored if name.startswith(_CUDA_GENERATOR)]:
        state, device = stored.pop(name), int(name.removeprefix(_CUDA_GENERATOR))
        if torch.cuda.is_available() and device < torch.cuda.device_count():
            torch.cuda.set_rng_state(state, device)
