"""Answer metrics: SQuAD's exact match and F1, and matching against CuratedTREC's regular expressions.

Normalisation follows Rajpurkar et al. 2016; NFD and regular expressions follow Lee et al. 2019 (ORQA), appendix.
"""

from __future__ import annotations

import contextlib
import functools
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import regex

from openrealm.errors import BadInput
from openrealm.types import MAX_REGEX_SECONDS

_MAX_SHOWN = 80
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


def regex_match(prediction: str, patterns: Sequence[str], max_seconds: float = MAX_REGEX_SECONDS) -> bool:
    """Whether any pattern matches at the start of the prediction (CuratedTREC; ignoring case, Unicode, multi-line).

    max_seconds  time for a pattern
    Raises BadInput if there are no patterns, or naming one that does not compile or takes too long.
    """
    return bool(_best(lambda pattern: float(compile_pattern(pattern, max_seconds).starts(prediction)), patterns))


class AnswerPattern:
    """A reference that is a regular expression. A text on which it takes too long is an error: BadInput."""

    def __init__(self, pattern: str, max_seconds: float = MAX_REGEX_SECONDS) -> None:
        """`max_seconds` is for each text. Raises BadInput with the pattern and the reason if it does not compile."""
        self.pattern, self.max_seconds = pattern, max_seconds
        try:
            self._compiled = regex.compile(pattern, regex.IGNORECASE | regex.UNICODE | regex.MULTILINE)
        except (regex.error, RecursionError, OverflowError, MemoryError) as error:
            raise BadInput(
                f"the answer {_shortened(pattern)} is not a regular expression ({error}); correct it, or omit --regex "
                "to compare answers as plain text."
            ) from error

    def starts(self, text: str) -> bool:
        """Whether it matches at the start of a text."""
        with self._limited():
            return self._compiled.match(text, timeout=self.max_seconds) is not None

    def occurs(self, text: str) -> bool:
        """Whether it matches anywhere in a text."""
        with self._limited():
            return self._compiled.search(text, timeout=self.max_seconds) is not None

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each match in a text."""
        with self._limited():
            return [match.span() for match in self._compiled.finditer(text, timeout=self.max_seconds)]

    @contextlib.contextmanager
    def _limited(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise self.too_slow() from error

    def too_slow(self) -> BadInput:
        """The error that it takes too long."""
        return BadInput(
            f"the answer {_shortened(self.pattern)} takes too long as a regular expression; write it without "
            "repetitions of repetitions, such as (a+)+, or raise max_regex_seconds."
        )


@functools.lru_cache(maxsize=16_384)
def compile_pattern(pattern: str, max_seconds: float = MAX_REGEX_SECONDS) -> AnswerPattern:
    """A reference as a pattern, compiled once; raises BadInput if it is not a regular expression."""
    return AnswerPattern(pattern, max_seconds)


def _shortened(pattern: str) -> str:
    return repr(pattern if len(pattern) <= _MAX_SHOWN else f"{pattern[:_MAX_SHOWN]}…")


def _best(score: Callable[[str], float], references: Sequence[str]) -> float:
    if not references:
        raise BadInput("A question has no reference answer; add at least one answer or remove the question.")
    return max(map(score, references))


def _f1_of_words(predicted: list[str], expected: list[str]) -> float:
    if not predicted or not expected:
        return float(predicted == expected)
    num_shared = (Counter(predicted) & Counter(expected)).total()
    return 2 * num_shared / (len(predicted) + len(expected))
