"""Retrieval metrics: whether retrieved passages contain an answer, on token boundaries ("art" is not in "party")."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence

from openrealm.errors import BadInput
from openrealm.evaluate.answers import compile_pattern
from openrealm.types import MAX_REGEX_SECONDS


def has_answer(text: str, answers: Sequence[str]) -> bool:
    """Whether the text contains any answer as consecutive tokens, ignoring case and Unicode normal form.

    A token is a run of letters, digits and combining marks, or any other single visible character. An answer without
    tokens is in no text. Lee et al. 2019, Sec. 5; Karpukhin et al. 2020, Sec. 4.
    """
    haystack = _joined_tokens(text)
    return any(needle != _BOUND and needle in haystack for needle in map(_joined_tokens, answers))


def has_answer_regex(text: str, patterns: Sequence[str], max_seconds: float = MAX_REGEX_SECONDS) -> bool:
    """Whether any pattern occurs anywhere in the text (CuratedTREC).

    max_seconds  time for a pattern
    Raises BadInput naming a pattern that does not compile or takes too long.
    """
    return any(compile_pattern(pattern, max_seconds).occurs(text) for pattern in patterns)


def recall_at_k(is_hit: Sequence[Sequence[bool]], k: int) -> float:
    """The share of questions with a hit among their top k passages, in [0, 1].

    is_hit          per question, best passage first: whether the passage contains an answer; rows may be short
    Raises BadInput if there are no questions or k is less than 1.
    """
    _check("Recall", is_hit, k)
    return sum(any(row[:k]) for row in is_hit) / len(is_hit)


def mean_reciprocal_rank(is_hit: Sequence[Sequence[bool]], k: int) -> float:
    """The mean over questions of 1 / rank of the first hit, or 0 if there is none among the top k; in [0, 1].

    Arguments and errors as for `recall_at_k`. Voorhees 1999.
    """
    _check("Reciprocal rank", is_hit, k)
    return sum(next((1 / rank for rank, hit in enumerate(row[:k], 1) if hit), 0.0) for row in is_hit) / len(is_hit)


def _check(measure: str, is_hit: Sequence[Sequence[bool]], k: int) -> None:
    if k < 1:
        raise BadInput(f"{measure} at k = {k} is undefined; k must be at least 1.")
    if not is_hit:
        raise BadInput(f"{measure} is undefined without questions; give at least one.")


_BOUND = "\x00"  # separates tokens; a control character, so no token contains it


@functools.lru_cache(maxsize=65_536)
def _joined_tokens(text: str) -> str:
    """The tokens with separators around and between them, so that substring search respects token boundaries."""
    tokens = _token_pattern().findall(unicodedata.normalize("NFD", text).lower())
    return _BOUND + "".join(token + _BOUND for token in tokens)


@functools.cache
def _token_pattern() -> re.Pattern[str]:
    # Python's \w excludes combining marks, which would split Hindi, Thai and NFD words at every mark.
    marks = "".join(chr(code) for code in range(0x300, 0x20000) if unicodedata.category(chr(code)).startswith("M"))
    return re.compile(rf"(?:[^\W_]|[{re.escape(marks)}])+|[^\w\s\x00-\x1f\x7f-\x9f\u200b-\u200f\ufeff]|_")
