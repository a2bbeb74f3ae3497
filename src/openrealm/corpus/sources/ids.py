"""Ids of articles, made unique within a source."""

from __future__ import annotations

import numpy as np
from farmhash import Fingerprint64

MAX_IDS = 1 << 25
_BUFFERED = 1 << 18


class Ids:
    """Tells whether an id was seen before, by 64-bit digests in at most 300 MB of memory.

    Ids after the first MAX_IDS are not compared.

    >>> ids = Ids()
    >>> [ids.is_new(name) for name in ("a", "b", "a")]
    [True, True, False]
    """

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._sorted = np.empty(0, np.uint64)

    def is_new(self, article_id: str) -> bool:
        """Whether this is the first time; the id is remembered."""
        digest = int(Fingerprint64(article_id.encode("utf-8", "surrogatepass")))
        if digest in self._recent or self._is_sorted_in(digest):
            return False
        if len(self._sorted) < MAX_IDS:
            self._recent.add(digest)
            if len(self._recent) == _BUFFERED:
                self._sorted = np.union1d(self._sorted, np.fromiter(self._recent, np.uint64, _BUFFERED))
                self._recent.clear()
        return True

    def _is_sorted_in(self, digest: int) -> bool:
        if not len(self._sorted):
            return False
        place = int(np.searchsorted(self._sorted, np.uint64(digest)))
        return place < len(self._sorted) and int(self._sorted[place]) == digest
