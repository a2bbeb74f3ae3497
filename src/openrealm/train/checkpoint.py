"""Checkpoints: weights, optimiser state, random generators and JSON state, published atomically."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import TypedDict

from openrealm import files
from openrealm.errors import DamagedArtefact, Mismatch
from openrealm.model.state import load_unique_state, unique_state
from openrealm.stored import Count, Seconds
from openrealm.train.metrics import Row

_KEPT = 2
_REMEDY = "remove the checkpoint and resume from the one before, or start over"
_ADAM = {"step", "exp_avg", "exp_avg_sq"}
_CPU_GENERATOR, _CUDA_GENERATOR = "rng", "cuda_rng."
_MODEL, _OPTIMIZER, _STATE = "model.safetensors", "optimizer.safetensors", "state.json"


class State(TypedDict):
    """What a trainer restores besides weights, optimiser and random generators; `task` and `callbacks` check theirs."""

    step: Count
    fingerprint: str
    seconds: Seconds
    num_tokens: Count
    num_metrics: Count
    metrics_sha256: str
    evaluated_step: Count | None
    should_stop: bool
    peak_rates: list[float]
    unlogged: list[Row]
    recent: list[Row]
    num_skipped: Count
    num_skipped_in_a_row: Count
    first: Row
    last: Row
    task: dict[str, Any]
    callbacks: dict[str, dict[str, Any]]


def save(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: State) -> Path:
    """Publish the checkpoint `folder`/step-N and delete all but the last two; returns its folder.

    Raises NonFinite if a weight is not finite; then the earlier checkpoints stay.
    """
    target = folder / f"step-{state['step']:08d}"
    adam: dict[str, Tensor] = {}
    packed = optimizer.state_dict()
    for number, entry in packed["state"].items():
        adam.update({f"{number}.{name}": torch.as_tensor(value) for name, value in entry.items()})
    with files.new_folder(target, {"kind": "checkpoint", "step": state["step"]}) as out:
        files.write_safetensors(out / _MODEL, unique_state(model))
        files.write_safetensors(out / _OPTIMIZER, adam | _generators())
        files.write_json(out / _STATE, state)
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


def load(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: str) -> State:
    """Restore model, optimiser and random generators from a checkpoint; returns the stored `state`.

    Raises Mismatch if its fingerprint is not `fingerprint`, DamagedArtefact if a file is damaged or does not fit.
    """
    state = read_state(path)
    if state["fingerprint"] != fingerprint:
        raise Mismatch(
            f"{path} was written with other settings: its digest is {state['fingerprint'][:16]}, the one in "
            f"use is {fingerprint[:16]}; resume with the same settings, or start over without resume."
        )
    stored = files.read_safetensors(path / _OPTIMIZER)
    generators = {name: stored.pop(name) for name in list(stored) if name.startswith((_CPU_GENERATOR, _CUDA_GENERATOR))}
    adam = _checked_adam(stored, optimizer, path / _OPTIMIZER)
    load_unique_state(model, files.read_safetensors(path / _MODEL), path / _MODEL)
    try:
        _set_generators(generators)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise DamagedArtefact(f"{path / _OPTIMIZER} has no usable state of random generators; {_REMEDY}.") from error
    optimizer.load_state_dict({"state": adam, "param_groups": optimizer.state_dict()["param_groups"]})
    return state


def read_state(path: Path, *, verify: bool = True) -> State:
    """The JSON state of a checkpoint; with `verify`, all of its files are checked against their digests first.

    Raises DamagedArtefact naming a file.
    """
    files.read_manifest(path, verify=verify, needs=(_MODEL, _OPTIMIZER, _STATE))
    return files.read_json(path / _STATE, State, _REMEDY)


def _checked_adam(
    stored: dict[str, Tensor], optimizer: torch.optim.Optimizer, where: Path
) -> dict[int, dict[str, Tensor]]:
    """Adam's state by parameter. Raises DamagedArtefact if it is not that of the optimiser's parameters."""
    parameters = dict(enumerate(p for group in optimizer.param_groups for p in group["params"]))
    adam: dict[int, dict[str, Tensor]] = {}
    for name, tensor in stored.items():
        number, _, key = name.partition(".")
        parameter = parameters.get(int(number)) if number.isdecimal() else None
        shape = () if key == "step" else getattr(parameter, "shape", None)
        if parameter is None or key not in _ADAM or tensor.shape != shape or not tensor.is_floating_point():
            raise DamagedArtefact(
                f"{where}: {name} ({tensor.dtype}, shape {tuple(tensor.shape)}) is not of this model's optimiser; "
                f"{_REMEDY}."
            )
        adam.setdefault(int(number), {})[key] = tensor
    if incomplete := [number for number, entry in adam.items() if entry.keys() != _ADAM]:
        raise DamagedArtefact(f"{where} lacks part of the state of parameter {incomplete[0]}; start over.")
    return adam


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
