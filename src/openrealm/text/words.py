"""The words of a text, as BM25 counts them: runs of letters, digits and underscores in lower case."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from openrealm.text.chunks import starts_of
from openrealm.text.numbering import Keys, Numbers, codes_of, keys_of

_WORD = re.compile(r"\w+")
_UNKNOWN, _OTHER, _LETTER = 0, 1, 2
# What each character is, filled in as characters are met.
_KIND: npt.NDArray[np.uint8] = np.zeros(0x110000, np.uint8)


def words(text: str) -> list[str]:
    """The words of `text`, including stop words, so that queries of short words match too.

    >>> words("The Old Mill, 1821")
    ['the', 'old', 'mill', '1821']
    """
    return _WORD.findall(text.lower())


def word_keys(texts: Sequence[str]) -> tuple[Keys, Numbers]:
    """A 64-bit hash of each word of `texts`, end to end, and (n,) the number of words of each text.

    Equal words have equal keys, in any text and on any machine.

    >>> keys, counts = word_keys(["Lima, Peru", "peru"])
    >>> counts.tolist(), bool(keys[1] == keys[2])
    ([2, 1], True)
    """
    if not texts:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    lower = [text.lower() for text in texts]
    codes = codes_of("\n".join(lower))
    is_in_word = np.zeros(len(codes) + 2, np.int8)
    is_in_word[1:-1] = _is_in_word(codes)
    edges = np.diff(is_in_word)
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    bounds = np.append(starts_of(lower), len(codes) + 1)
    return keys_of(codes, starts, ends), np.diff(np.searchsorted(starts, bounds))


def _is_in_word(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    kinds = _KIND[codes]
    if (kinds == _UNKNOWN).any():
        for code in np.unique(codes[kinds == _UNKNOWN]).tolist():
            _KIND[code] = _LETTER if _WORD.match(chr(code)) else _OTHER
        kinds = _KIND[codes]
    return np.asarray(kinds == _LETTER)
