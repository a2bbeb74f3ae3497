"""Which spans of a passage may be answers: whole words, within a sentence."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

import numpy as np
import numpy.typing as npt

from openrealm.corpus.corpus import Corpus
from openrealm.masking.anchors import UNSPACED
from openrealm.text.numbering import codes_of

AnswerBounds = Literal["sentence", "word", "token"]
Mask = npt.NDArray[np.bool_]

# Kinds of characters. A mark or a zero-width joiner belongs to the character before it.
_OTHER, _LETTER, _DIGIT, _MARK, _POINT, _HYPHEN = range(6)
_UNSPACED = re.compile(f"[{UNSPACED}]")
_JOINERS = "\u200c\u200d"


def admissible_spans(corpus: Corpus, passage: int, num_widths: int, bounds: AnswerBounds) -> Mask:
    """P x W booleans: whether the w + 1 body tokens of a passage from token p on may be an answer.

    bounds  "sentence": whole words of one sentence; "word": whole words; "token": any tokens of the passage
    """
    offsets = corpus.token_offsets(passage)
    beyond = num_widths - 1
    inside = np.lib.stride_tricks.sliding_window_view(np.arange(len(offsets) + beyond) < len(offsets), num_widths)
    if bounds == "token":
        return inside
    is_bound = word_bounds(corpus.passage(passage).text)
    starts = is_bound[offsets[:, 0]]
    ends = np.append(is_bound[offsets[:, 1]], np.zeros(beyond, np.bool_))
    fits: Mask = starts[:, None] & np.lib.stride_tricks.sliding_window_view(ends, num_widths)
    if bounds == "word":
        return fits
    opens = np.zeros(len(offsets) + beyond, np.int64)
    opens[np.asarray(corpus.sentences(passage), np.int64)[:, 0]] = 1
    sentences = opens.cumsum()
    last = np.lib.stride_tricks.sliding_window_view(sentences, num_widths)
    fits &= last == sentences[: len(offsets), None]
    return fits


def word_bounds(text: str) -> Mask:
    """For each of the positions 0 to len(text), whether it is not inside a word or a number.

    A hyphen between two letters is part of a word, as in "load-env". Every character of a script written without spaces
    is a word.

    >>> word_bounds("U-2, 1.5").tolist()
    [True, True, True, True, True, True, False, False, True]
    >>> word_bounds("a-b -c").tolist()
    [True, False, False, True, True, True, True]
    """
    distinct, which = np.unique(codes_of(text), return_inverse=True)
    kinds = np.array([_kind(chr(code)) for code in distinct], np.uint8)[which]
    bounds = np.ones(len(text) + 1, np.bool_)
    is_word = (kinds > _OTHER) & (kinds < _POINT)
    bounds[1:-1] = ~((is_word[:-1] & is_word[1:]) | (kinds[1:] == _MARK))
    for part, joint in ((_DIGIT, _POINT), (_LETTER, _HYPHEN)):
        joins = (kinds[:-2] == part) & (kinds[1:-1] == joint) & (kinds[2:] == part)
        places = np.flatnonzero(joins) + 1
        bounds[places] = bounds[places + 1] = False
    return bounds


def _kind(character: str) -> int:
    category = unicodedata.category(character)
    if category[0] == "M" or character in _JOINERS:
        return _MARK
    if category[0] == "N":
        return _DIGIT
    if character == "_" or (category[0] == "L" and not _UNSPACED.match(character)):
        return _LETTER
    if character == "-":
        return _HYPHEN
    return _POINT if character in ".," else _OTHER
