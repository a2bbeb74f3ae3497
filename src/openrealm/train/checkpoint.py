"""Checkpoints: weights, Adam's state, the random generators and the place in the data, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file
from torch import Tensor

from openrealm import files
from openrealm.config import Config
from openrealm.errors import Mismatch

_KEPT = 2
_CPU_GENERATOR, _CUDA_GENERATOR = "rng", "cuda_rng."
# What a resume may change: names, places, how often is measured, and what comes after pre-training.
_FREE = ("name", "device", "num_threads", "callbacks", "finetune")
_FREE_IN_PRETRAIN = ("eval_steps", "checkpoint_steps", "max_staleness_steps")


class Stored(Protocol):
    """A model that gives its weights by name, and takes them back."""

    def own_state(self) -> dict[str, Tensor]: ...

    def load_own_state(self, tensors: Mapping[str, Tensor], where: Path) -> None: ...


def training_digest(config: Config) -> str:
    """SHA-256 of the settings that decide what pre-training computes: a resume may change the others."""
    values = {key: value for key, value in config.to_dict().items() if key not in _FREE}
    values["pretrain"] = {key: value for key, value in values["pretrain"].items() if key not in _FREE_IN_PRETRAIN}
    return files.digest_of(values)


def save(folder: Path, step: int, model: Stored, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> Path:
    """Publish `folder`/step-N and delete all but the last two.

    `state` is plain JSON (config digest, metrics line count, index version, …).
    """
    target = folder / f"step-{step:08d}"
    adam: dict[str, Tensor] = {}
    packed = optimizer.state_dict()
    for number, entry in packed["state"].items():
        adam.update({f"{number}.{name}": torch.as_tensor(value) for name, value in entry.items()})
    with files.new_folder(target, {"kind": "checkpoint", "step": step}) as out:
        files.write_safetensors(out / "model.safetensors", model.own_state())
        files.write_safetensors(out / "optimizer.safetensors", adam | _generators())
        files.write_json(out / "state.json", state | {"step": step})
    for old in checkpoints(folder)[:-_KEPT]:
        files.remove_folder(old)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """Finished checkpoints, oldest first."""
    return sorted(path.parent for path in folder.glob(f"step-*/{files.MANIFEST}"))


def remove_all(folder: Path) -> None:
    """Remove the checkpoints of an earlier run, which a resume would else take for this one's."""
    for old in checkpoints(folder):
        files.remove_folder(old)


def load(path: Path, model: Stored, optimizer: torch.optim.Optimizer, config_digest: str) -> dict[str, Any]:
    """Restore everything `save` stored; returns its `state`. Raises Mismatch when another configuration wrote it."""
    files.read_manifest(path)
    state: dict[str, Any] = files.read_json(path / "state.json")
    if state["config_digest"] != config_digest:
        raise Mismatch(
            f"{path} was written with another configuration: its digest is {state['config_digest'][:16]}, the one in "
            f"use is {config_digest[:16]}; resume with the same settings, or start again without --resume."
        )
    model.load_own_state(load_file(path / "model.safetensors"), path / "model.safetensors")
    stored = load_file(path / "optimizer.safetensors")
    _set_generators(stored)
    adam: dict[int, dict[str, Tensor]] = {}
    for name, tensor in stored.items():
        number, key = name.split(".", 1)
        adam.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({"state": adam, "param_groups": optimizer.state_dict()["param_groups"]})
    return state


def _generators() -> dict[str, Tensor]:
    """The state of the random generators of this process: the CPU's, and each CUDA device's that has one."""
    states = {_CPU_GENERATOR: torch.get_rng_state()}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states |= {f"{_CUDA_GENERATOR}{n}": state for n, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def _set_generators(stored: dict[str, Tensor]) -> None:
    """Take the generators' states out of `stored` and set them."""
    torch.set_rng_state(stored.pop(_CPU_GENERATOR))
    for name in [name for name in stored if name.startswith(_CUDA_GENERATOR)]:
        state, device = stored.pop(name), int(name.removeprefix(_CUDA_GENERATOR))
        if torch.cuda.is_available() and device < torch.cuda.device_count():
            torch.cuda.set_rng_state(state, device)
