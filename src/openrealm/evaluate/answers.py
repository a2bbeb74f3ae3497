"""Is the answer right? Exact match and F1 as SQuAD defines them, and CuratedTREC's regular expressions.

Rajpurkar et al. 2016 for the normalisation; Lee et al. 2019 (ORQA), appendix, for NFD and the regular expressions.
"""

from __future__ import annotations

import functools
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

from openrealm.errors import BadInput

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(answer: str) -> str:
    """`answer` as it is compared: NFD, lower case, without ASCII punctuation, without a/an/the, spaces squeezed.

    The order is SQuAD's, so that published figures are met: "the U.S." and "US" are one answer; accents stay.
    """
    bare = unicodedata.normalize("NFD", answer).lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(prediction: str, references: Sequence[str]) -> bool:
    """Whether the prediction equals any of the references once both are normalised.

    Raises BadInput when there is no reference.
    """
    answer = normalise(prediction)
    return bool(_best(lambda reference: float(answer == normalise(reference)), references))


def f1(prediction: str, references: Sequence[str]) -> float:
    """The best F1 of shared words, in [0, 1], over the references; words count as often as they occur.

    Where one side has no word left, it is 1 if both have none and 0 otherwise. Raises BadInput without a reference.
    """
    words = normalise(prediction).split()
    return _best(lambda reference: _f1_of_words(words, normalise(reference).split()), references)


def regex_match(prediction: str, patterns: Sequence[str]) -> bool:
    """Whether any pattern matches from the start of the prediction (CuratedTREC; ignore case, unicode, multiline).

    Raises BadInput naming a pattern that is no regular expression, or when there is none.
    """
    return bool(_best(lambda pattern: float(compile_pattern(pattern).match(prediction) is not None), patterns))


@functools.lru_cache(maxsize=16_384)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A reference that is a regular expression, compiled; raises BadInput showing it and what is wrong with it."""
    try:
        return re.compile(pattern, re.IGNORECASE | re.UNICODE | re.MULTILINE)
    except re.error as error:
        raise BadInput(
            f"the answer {pattern!r} is not a regular expression ({error}); correct it, or compare as plain text."
        ) from error


def _best(score: Callable[[str], float], references: Sequence[str]) -> float:
    if not references:
        raise BadInput("a question has no reference answer; give at least one, or leave the question out.")
    return max(map(score, references))


def _f1_of_words(predicted: list[str], expected: list[str]) -> float:
    if not predicted or not expected:
        return float(predicted == expected)
    num_shared = (Counter(predicted) & Counter(expected)).total()
    return 2 * num_shared / (len(predicted) + len(expected))
