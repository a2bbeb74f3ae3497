"""Checkpoints: weights, optimiser state, random generators and JSON state, published atomically."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NotRequired

import torch
from torch import Tensor, nn
from typing_extensions import TypedDict

from openrealm import files
from openrealm.errors import DamagedArtefact, Mismatch
from openrealm.model.state import load_unique_state, unique_state
from openrealm.stored import Count, Seconds, Size
from openrealm.train.metrics import Row
from openrealm.train.ranks import ALONE, Ranks

_KEPT = 2
_REMEDY = "remove the checkpoint and resume from the one before, or start over"
_ADAM = {"step", "exp_avg", "exp_avg_sq"}
_CPU_GENERATOR, _CUDA_GENERATOR = "rng", "cuda_rng."
_MODEL, _OPTIMIZER, _STATE = "model.safetensors", "optimizer.safetensors", "state.json"


class State(TypedDict):
    """What a trainer restores besides weights, optimiser and random generators; `task` and `callbacks` check theirs."""

    step: Count
    num_ranks: NotRequired[Size]
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


def save(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: State,
    random_states: dict[str, Tensor] | None = None,
) -> Path:
    """Publish the checkpoint `folder`/step-N and delete all but the last two; returns its folder.

    random_states  the `generators` of all processes; None means those of this process, the only one
    Raises NonFinite if a weight is not finite; then the earlier checkpoints stay.
    """
    target = folder / f"step-{state['step']:08d}"
    adam: dict[str, Tensor] = {}
    packed = optimizer.state_dict()
    for number, entry in packed["state"].items():
        adam.update({f"{number}.{name}": torch.as_tensor(value) for name, value in entry.items()})
    with files.new_folder(target, {"kind": "checkpoint", "step": state["step"]}) as out:
        files.write_safetensors(out / _MODEL, unique_state(model))
        files.write_safetensors(out / _OPTIMIZER, adam | (generators() if random_states is None else random_states))
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


def load(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: str, ranks: Ranks = ALONE
) -> State:
    """Restore model, optimiser and this process's random generators from a checkpoint; returns the stored `state`.

    Raises Mismatch if its fingerprint is not `fingerprint`, or if it was written by another number of processes than
    `ranks`, DamagedArtefact if a file is damaged or does not fit.
    """
    state = read_state(path)
    num_ranks = state.get("num_ranks", 1)
    if num_ranks != ranks.num_ranks:
        raise Mismatch(
            f"{path} is of a training by {_processes(num_ranks)}, and this is one by {_processes(ranks.num_ranks)}; "
            "start as many as before with torchrun, or start over without resume."
        )
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
        _set_generators(generators, ranks)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise DamagedArtefact(f"{path / _OPTIMIZER} has no usable state of random generators; {_REMEDY}.") from error
    optimizer.load_state_dict({"state": adam, "param_groups": optimizer.state_dict()["param_groups"]})
    return state


def _processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number} processes"


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


def generators(ranks: Ranks = ALONE) -> dict[str, Tensor]:
    """States of the random generators of all processes: of their CPUs, and of the CUDA devices in use."""
    own = {_CPU_GENERATOR: torch.get_rng_state()}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        # One of several processes uses one device, and should not touch those of the others.
        devices = range(torch.cuda.device_count()) if ranks.num_ranks == 1 else [torch.cuda.current_device()]
        own |= {f"{_CUDA_GENERATOR}{n}": torch.cuda.get_rng_state(n) for n in devices}
    states: dict[str, Tensor] = {}
    for name, state in own.items():
        kind = name if ranks.num_ranks == 1 else name.split(".")[0]
        for rank, found in enumerate(ranks.bytes(state)):
            states[kind if ranks.num_ranks == 1 else f"{kind}.rank-{rank}"] = found
    return states


def _set_generators(stored: dict[str, Tensor], ranks: Ranks) -> None:
    """Set the generators of this process to their states in `stored`."""
    if ranks.num_ranks > 1:
        own = {name.split(".")[0]: state for name, state in stored.items() if name.endswith(f".rank-{ranks.rank}")}
        torch.set_rng_state(own[_CPU_GENERATOR])
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.set_rng_state(own[_CUDA_GENERATOR.rstrip(".")])
        return
    torch.set_rng_state(stored[_CPU_GENERATOR])
    for name, state in stored.items():
        device = name.removeprefix(_CUDA_GENERATOR)
        if device != name and torch.cuda.is_available() and int(device) < torch.cuda.device_count():
            torch.cuda.set_rng_state(state, int(device))
