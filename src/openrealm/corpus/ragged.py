"""Rows of different lengths in two flat files, memory-mapped: the values end to end, and where each row ends."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from openrealm.errors import DamagedArtefact

IntArray = npt.NDArray[np.integer[Any]]


class RaggedWriter:
    """Appends rows of integers; `width` numbers stand together (2 for half-open ranges)."""

    def __init__(self, folder: Path, name: str, dtype: str, width: int = 1) -> None:
        self._values = (folder / f"{name}.bin").open("wb")
        self._ends = (folder / f"{name}.ends.bin").open("wb")
        self._dtype, self._width = np.dtype(dtype).newbyteorder("<"), width
        self.num_values = 0

    def append(self, row: Iterable[Any]) -> None:
        """Write one row; raises OverflowError when a number does not fit the type."""
        values = np.asarray(list(row), dtype=np.int64).reshape(-1, self._width)
        if values.size and (values.min() < 0 or values.max() > np.iinfo(self._dtype).max):
            raise OverflowError(f"{values.max()} does not fit {self._dtype}")
        self._values.write(values.astype(self._dtype).tobytes())
        self.num_values += len(values)
        self._ends.write(np.array([self.num_values], dtype="<u8").tobytes())

    def __enter__(self) -> RaggedWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._values.close()
        self._ends.close()


class Ragged:
    """Reads what RaggedWriter wrote: `rows[i]` is an array (n,) or (n, width), a read-only view of the map."""

    def __init__(self, folder: Path, name: str, dtype: str, width: int = 1) -> None:
        self._ends = open_flat(folder / f"{name}.ends.bin", "u8")
        values = open_flat(folder / f"{name}.bin", dtype)
        num_expected = int(self._ends[-1]) * width if len(self._ends) else 0
        if len(values) != num_expected:
            raise DamagedArtefact(
                f"{folder / name}.bin holds {len(values)} numbers, not {num_expected}; make {folder} again."
            )
        self._values = values.reshape(-1, width) if width > 1 else values

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, i: int) -> IntArray:
        return self._values[int(self._ends[i - 1]) if i else 0 : int(self._ends[i])]


def open_flat(path: Path, dtype: str) -> IntArray:
    """Memory map of a file of little-endian integers; raises DamagedArtefact when it is absent or cut short."""
    item = np.dtype(dtype).newbyteorder("<")
    try:
        num_bytes = path.stat().st_size
    except FileNotFoundError as error:
        raise DamagedArtefact(f"{path} is missing; make {path.parent} again.") from error
    if num_bytes % item.itemsize:
        raise DamagedArtefact(f"{path} was cut short (it has {num_bytes} bytes); make {path.parent} again.")
    if num_bytes == 0:  # an empty file cannot be mapped
        return np.empty(0, dtype=item)
    return np.asarray(np.memmap(path, dtype=item, mode="r"))  # a plain array over the map: slices are twice as fast
