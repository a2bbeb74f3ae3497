"""Device and precision: the same code runs on CPU and CUDA, in fp32 and bf16."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from openrealm import launch
from openrealm.config import Config
from openrealm.errors import BadConfig

# oneDNN caches compiled kernels for every shape it meets, 1,024 by default: gigabytes for rows of varying length.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")


def num_cores() -> int:
    """The number of cores this process may use: its share, if torchrun started several on this machine."""
    return max(1, len(os.sched_getaffinity(0)) // launch.num_local_ranks())


@dataclass(frozen=True, slots=True)
class Engine:
    """A device, and whether matrix products run in bfloat16 (weights and sums stay in float32)."""

    device: str
    bf16: bool

    def autocast(self) -> AbstractContextManager[Any]:
        """The context for forward passes."""
        import torch

        return torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.bf16)


def engine_for(config: Config) -> Engine:
    """The engine for a configuration; "auto" picks CUDA if available, and bf16 if the hardware supports it.

    With torchrun, "cuda" is the device of the process's local rank. Raises BadConfig if there is no such device.
    """
    import torch

    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and launch.num_ranks() > 1:
        device = f"cuda:{launch.local_rank()}"
    if device.startswith("cuda"):
        _, _, number = device.partition(":")
        num_visible = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) >= num_visible:
            visible = f"only {num_visible} CUDA devices are" if num_visible else "no CUDA device is"
            raise BadConfig(f"device is {device}, but {visible} visible; use device=cpu or device=auto.")
    bf16 = config.precision == "bf16" or (config.precision == "auto" and _supports_bf16(device))
    return Engine(device, bf16)


def _supports_bf16(device: str) -> bool:
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    # Without these instructions, bf16 on a CPU is emulated and slower than fp32.
    known = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
