"""Posting lists read through memory maps: the passages with a key, found by binary search."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from openrealm.corpus.ragged import IntArray, Ragged, open_flat
from openrealm.errors import DamagedArtefact
from openrealm.text.numbering import Keys


class Postings:
    """Lists of passages, ascending, one for each of S keys, which are numbered in ascending order."""

    def __init__(self, folder: Path, keys: str, passages: str) -> None:
        """Open KEYS.bin and the lists PASSAGES of a corpus. Raises DamagedArtefact if they do not fit each other."""
        self.keys = cast("Keys", open_flat(folder / f"{keys}.bin", "u8"))
        self.lists = Ragged(folder, passages, "u4")
        if len(self.lists) != len(self.keys):
            raise DamagedArtefact(
                f"{folder / passages}.ends.bin has {len(self.lists):,} rows, but {folder / keys}.bin has "
                f"{len(self.keys):,}; rebuild {folder}."
            )

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, keys: Keys) -> npt.NDArray[np.int64]:
        """The number of each key, or -1 if no passage has it."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, -1)

    def __getitem__(self, number: int) -> IntArray:
        """The passages with key number `number`."""
        return self.lists[number]

    def lengths(self) -> npt.NDArray[np.int64]:
        """(S,) number of passages of each list."""
        return self.lists.lengths()
