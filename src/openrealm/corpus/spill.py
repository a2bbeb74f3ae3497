"""Sorts more records than fit into memory: they are spilled into files by the highest bits of their keys."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from openrealm import files

Records = npt.NDArray[np.void]


class Spill:
    """Records of a structured type with a field "key" (u8, evenly distributed), sorted by it; ties keep their order."""

    def __init__(self, folder: Path, dtype: np.dtype[np.void], num_parts: int) -> None:
        """`num_parts`, a power of two, is the number of files in `folder`, each of which is sorted in memory."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._folder, self._dtype = folder, dtype
        self._num_bits = num_parts.bit_length() - 1
        self._paths = [folder / f"{part}.bin" for part in range(num_parts)]
        with ExitStack() as stack:
            self._files = [stack.enter_context(files.new_file(path)) for path in self._paths]
            self._stack = stack.pop_all()

    def add(self, records: Records) -> None:
        """Append records."""
        if self._num_bits == 0:
            self._files[0].write(records.data)
            return
        part = records["key"] >> np.uint64(64 - self._num_bits)
        order = np.argsort(part, kind="stable")
        bounds = np.searchsorted(part[order], np.arange(len(self._files) + 1, dtype=np.uint64))
        for file, first, last in zip(self._files, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            file.write(records[order[first:last]].data)

    def parts(self) -> Iterator[Records]:
        """All records in the order of their keys, in parts; no key is in two parts."""
        self._stack.close()
        for path in self._paths:
            records = np.fromfile(path, self._dtype)
            path.unlink()
            yield records[np.argsort(records["key"], kind="stable")]

    def __enter__(self) -> Spill:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def runs(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Where each run of equal keys begins."""
    is_first = np.ones(len(keys), np.bool_)
    is_first[1:] = keys[1:] != keys[:-1]
    return np.flatnonzero(is_first)
