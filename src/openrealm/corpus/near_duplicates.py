"""Passages that leak each other's text: copies with some words changed, shifted windows, one sentence in two places.

Two passages leak if they share 40 % of the shorter one's five-word shingles, or a run of words that hardly any other
passage has. Shared shingles are found by sorting all hashes. Unlike MinHash, which keeps a signature of some hashes,
this misses no pair and needs no second look at the texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from openrealm.corpus.duplicates import text_key
from openrealm.corpus.shingles import HashedWords, Ids, Progress, Shared, shared_shingles

# A window shifted by half shares a little less than 0.5 with its neighbour, a copy with a tenth of its words changed
# about 0.59 (0.9 to the power of 5).
MIN_SHARE = 0.4
MIN_SHARED = 4  # eight words in a row
MIN_RARE = 12  # sixteen words in a row: a sentence
MAX_GROUP = 1000


def near_groups(
    texts: Iterable[str], group_N: Ids, *, max_group: int | None = None, progress: Progress | None = None
) -> Ids:
    """(N,) the first passage of each passage's group: the groups of `group_N`, merged where their texts leak.

    texts      N texts, read once
    group_N    groups of equal text, see `duplicates.groups_of`
    max_group  largest number of passages of a merged group. The most similar passages are merged first, so a chain
               of passages written from one template is cut where they are least similar. None allows a twentieth of
               all passages, at least 8 and at most 1000, so that every query keeps candidates
    progress   gets numbers that add up to 2 N
    Deterministic. Memory: 4 bytes per word, 12 per pair that shares a shingle, and the shingles of a 16th of all.
    """
    tell = progress or (lambda done: None)
    hashed = HashedWords.of((text if n == group_N[n] else "" for n, text in enumerate(texts)), tell)
    shared = shared_shingles(hashed, tell)
    leaks = np.flatnonzero(_leaks(shared))
    leaks = leaks[np.argsort(-shared.share[leaks], kind="stable")]
    max_group = min(MAX_GROUP, max(8, len(group_N) // 20)) if max_group is None else max_group
    return _merged(group_N, zip(shared.one[leaks].tolist(), shared.other[leaks].tolist(), strict=True), max_group)


def near_matches(
    x_texts: Iterable[str], z_texts: Iterable[str], group_N: Ids, *, progress: Progress | None = None
) -> tuple[Ids, Ids]:
    """Pairs of a passage of another corpus X and a group of Z that leak: two arrays, passages and groups.

    `group_N` are Z's groups. Texts are read once. Each pair is returned once, sorted; equal texts match however short
    they are. `progress` gets numbers that add up to twice the passages of both.
    """
    tell = progress or (lambda done: None)
    keys: list[int] = []
    hashed = HashedWords.of(_collecting_keys([z_texts, x_texts], keys), tell)
    num_z = len(group_N)
    shared = shared_shingles(hashed, tell, num_first=num_z)
    leaks = _leaks(shared)
    first_of = {key: n for n, key in reversed(list(enumerate(keys[:num_z])))}
    equal = [(x, first_of[key]) for x, key in enumerate(keys[num_z:]) if key in first_of]
    equal_M2 = np.array(equal, dtype=np.int64).reshape(-1, 2)
    x = np.concatenate([shared.other[leaks] - num_z, equal_M2[:, 0]])
    z = np.concatenate([shared.one[leaks], equal_M2[:, 1]])
    pairs = np.unique(np.stack([x, group_N[z]], axis=1), axis=0)
    return pairs[:, 0], pairs[:, 1]


def _leaks(shared: Shared) -> npt.NDArray[np.bool_]:
    is_copy = (shared.share >= MIN_SHARE) & (shared.num_shared >= MIN_SHARED)
    return np.asarray(is_copy | (shared.num_rare >= MIN_RARE), dtype=np.bool_)


def _collecting_keys(sources: Iterable[Iterable[str]], keys: list[int]) -> Iterator[str]:
    for texts in sources:
        for text in texts:
            keys.append(text_key(text))
            yield text


def _merged(group_N: Ids, pairs: Iterable[tuple[int, int]], max_group: int) -> Ids:
    """Merge the groups of each pair in turn, unless the result would exceed `max_group` passages."""
    first = group_N.tolist()
    size = np.bincount(group_N, minlength=len(group_N)).tolist()

    def root(n: int) -> int:
        while first[n] != n:
            first[n] = first[first[n]]
            n = first[n]
        return n

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        if low != high and size[low] + size[high] <= max_group:
            first[high] = low
            size[low] += size[high]
    return np.array([root(n) for n in range(len(first))], dtype=np.int64)
