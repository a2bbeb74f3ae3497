"""Answer metrics: SQuAD's exact match and F1, and matching against CuratedTREC's regular expressions.

Normalisation follows Rajpurkar et al. 2016; NFD and regular expressions follow Lee et al. 2019 (ORQA), appendix.
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
    """The answer in the form that is compared: NFD, lower case, no ASCII punctuation, no articles, single spaces.

    The order of the steps is SQuAD's, so that published scores are reproduced: "the U.S." and "US" are the same
    answer. Accents are kept.
    """
    words = unicodedata.normalize("NFD", answer).lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", words).split())


def exact_match(prediction: str, references: Sequence[str]) -> bool:
    """Whether the normalised prediction equals any of the normalised references.

    Raises BadInput if there are no references.
    """
    answer = normalise(prediction)
    return bool(_best(lambda reference: float(answer == normalise(reference)), references))


def f1(prediction: str, references: Sequence[str]) -> float:
    """The highest word-level F1 against any reference, in [0, 1]; repeated words count separately.

    If either side normalises to nothing, F1 is 1 if both do and 0 otherwise. Raises BadInput if there are no
    references.
    """
    words = normalise(prediction).split()
    return _best(lambda reference: _f1_of_words(words, normalise(reference).split()), references)


def regex_match(prediction: str, patterns: Sequence[str]) -> bool:
    """Whether any pattern matches at the start of the prediction (CuratedTREC; ignoring case, Unicode, multi-line).

    Raises BadInput if there are no patterns, or naming one that does not compile.
    """
    return bool(_best(lambda pattern: float(compile_pattern(pattern).match(prediction) is not None), patterns))


@functools.lru_cache(maxsize=16_384)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a reference that is a regular expression; raises BadInput with the pattern and the reason it fails."""
    try:
        return re.compile(pattern, re.IGNORECASE | re.UNICODE | re.MULTILINE)
    except re.error as error:
        raise BadInput(
            f"the answer {pattern!r} is not a regular expression ({error}); correct it, or omit --regex to compare "
            "answers as plain text."
        ) from error


def _best(score: Callable[[str], float], references: Sequence[str]) -> float:
    if not references:
        raise BadInput("A question has no reference answer; add at least one answer or remove the question.")
    return max(map(score, references))


def _f1_of_words(predicted: list[str], expected: list[str]) -> float:
    if not predicted or not expected:
        return float(predicted == expected)
    num_shared = (Counter(predicted) & Counter(expected)).total()
    return 2 * num_shared / (len(predicted) + len(expected))
