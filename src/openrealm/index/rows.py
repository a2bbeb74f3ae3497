"""Memory-mapped matrices that are read from their file, so that they do not count as resident memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_BYTES_AT_ONCE = 1 << 24


def is_finite(mapped: npt.NDArray[Any]) -> bool:
    """Whether all numbers of a memory-mapped array are finite; they are read, so that none stays in memory."""
    if not isinstance(mapped, np.memmap):
        return bool(np.isfinite(mapped).all())
    with Path(str(mapped.filename)).open("rb") as file:
        file.seek(mapped.offset)
        left = mapped.nbytes
        while left:
            data = file.read(min(left, _BYTES_AT_ONCE))
            if not data or not np.isfinite(np.frombuffer(data, mapped.dtype)).all():
                return False
            left -= len(data)
    return True


class StoredRows:
    """Rows of a memory-mapped matrix, which are read instead of mapped.

    A row that is touched in a map brings in the pages around it, as long as they are cached: soon all of the matrix
    counts as resident. Reading leaves nothing behind but what the system may drop at any time.

    >>> from tempfile import TemporaryDirectory
    >>> from openrealm import files
    >>> with TemporaryDirectory() as folder:
    ...     files.stream_safetensors(Path(folder, "m.safetensors"), {"m": torch.arange(6.0).reshape(3, 2)})
    ...     StoredRows(files.map_safetensors(Path(folder, "m.safetensors"))["m"])[torch.tensor([2, 0])]
    tensor([[4., 5.],
            [0., 1.]])
    """

    def __init__(self, mapped_ND: np.memmap[Any, Any]) -> None:
        self._file = Path(str(mapped_ND.filename)).open("rb", buffering=0)  # noqa: SIM115 - as long as the rows are needed
        self._first_byte, self._dtype = mapped_ND.offset, mapped_ND.dtype
        self._dim = mapped_ND.shape[1]

    def __getitem__(self, row_P: Tensor) -> Tensor:
        """The rows of these numbers, P x D, in the type in which they are stored."""
        size, descriptor = self._dim * self._dtype.itemsize, self._file.fileno()
        data = b"".join(os.pread(descriptor, size, self._first_byte + row * size) for row in row_P.tolist())
        return torch.from_numpy(np.frombuffer(bytearray(data), self._dtype).reshape(len(row_P), self._dim))

    def __del__(self) -> None:
        self._file.close()
