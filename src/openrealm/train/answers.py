"""Occurrences of answers in passages, on word boundaries rather than as substrings (Lee et al. 2019, ORQA)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from openrealm import files
from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.inverted import piece_keys
from openrealm.evaluate.answers import AnswerPattern, compile_pattern
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import MAX_REGEX_SECONDS, Question

_ALL_PASSAGES = 120  # how many times as long as on one passage a regular expression may take on all of them

Pieces = tuple[int, ...]
Sought = Pieces | AnswerPattern


def finetune_fingerprint(config: Config, corpus: Corpus, questions: Sequence[Question]) -> list[Any]:
    """What determines the result of fine-tuning, as JSON values: settings, questions in their order, and corpus."""
    values = config.to_dict()
    asked = files.digest_of([[question.text, list(question.answers), question.regex] for question in questions])
    return [values["seed"], values["model"], values["finetune"], asked, corpus.digest]


def continuation_ids(tokenizer: Tokenizer) -> npt.NDArray[np.bool_]:
    """V booleans, True for word pieces that continue a word, such as "##s"."""
    return np.array([tokenizer.token(i).startswith("##") for i in range(tokenizer.vocab_size)])


def occurrences(body: npt.NDArray[np.int64], answer: Pieces, continues: npt.NDArray[np.bool_]) -> list[int]:
    """Positions in `body` at which `answer` starts and ends at the end of a word."""
    if not 0 < len(answer) <= len(body):
        return []
    hits = np.flatnonzero(
        (np.lib.stride_tricks.sliding_window_view(body, len(answer)) == np.asarray(answer)).all(axis=1)
    )
    ends = hits + len(answer)
    return [int(s) for s, e in zip(hits, ends, strict=True) if e == len(body) or not continues[body[e]]]


class AnswerFinder:
    """Finds all passages that contain an answer, through the corpus's lists of word pieces; results are cached.

    For a regular expression the text of every passage is searched.
    """

    def __init__(self, corpus: Corpus, max_regex_seconds: float = MAX_REGEX_SECONDS) -> None:
        """`max_regex_seconds` is the time for a regular expression on one passage; on all, it is 120 times that."""
        self._corpus, self._max_regex_seconds = corpus, max_regex_seconds
        self._tokenizer = corpus.tokenizer()
        self.continues = continuation_ids(self._tokenizer)
        self._found: dict[Sought, frozenset[int]] = {}

    def sought(self, question: Question) -> Sequence[Sought]:
        """The answers of a question as word pieces, or as compiled patterns.

        Answers with an unknown word piece are omitted, since they would match any unknown word.
        """
        if question.regex:
            return [compile_pattern(answer, self._max_regex_seconds) for answer in question.answers]
        rows = self._tokenizer.encode_batch(list(question.answers))
        return [tuple(ids) for ids, _ in rows if ids and self._tokenizer.unk_id not in ids]

    def passages_with(self, answer: Sought) -> frozenset[int]:
        """Numbers of the passages whose body contains the answer."""
        if answer not in self._found:
            possible: Iterable[int] = range(self._corpus.num_passages)
            if not isinstance(answer, AnswerPattern):
                possible = self._with_rarest(answer)
            self._found[answer] = frozenset(self._searched(possible, answer))
        return self._found[answer]

    def _with_rarest(self, answer: Sequence[int]) -> Iterable[int]:
        """The passages with that word piece of the answer which fewest have."""
        pieces = self._corpus.pieces
        numbers = pieces.find(piece_keys(np.array(answer)))
        if (numbers < 0).any():
            return ()
        rarest = min(numbers.tolist(), key=lambda number: len(pieces[number]))
        return map(int, pieces[rarest])

    def _searched(self, passages: Iterable[int], answer: Sought) -> Iterator[int]:
        """Which passages contain the answer. Raises BadInput for a regular expression that takes too long."""
        started = time.monotonic()
        for number in passages:
            if self._places(number, answer):
                yield number
            seconds = time.monotonic() - started
            if isinstance(answer, AnswerPattern) and seconds > _ALL_PASSAGES * self._max_regex_seconds:
                raise answer.too_slow()

    def passages_for(self, question: Question) -> set[int]:
        """Numbers of the passages that contain some answer of the question."""
        return set().union(*(self.passages_with(answer) for answer in self.sought(question)))

    def correct_spans(self, passage: int, answers: Sequence[Sought], num_widths: int) -> list[tuple[int, int]]:
        """(first token, width - 1) of each occurrence of an answer of at most `num_widths` tokens in a body."""
        places = [place for answer in dict.fromkeys(answers) for place in self._places(passage, answer)]
        return [(first, width - 1) for first, width in dict.fromkeys(places) if width <= num_widths]

    def _places(self, passage: int, answer: Sought) -> list[tuple[int, int]]:
        """(first token, number of tokens) of each occurrence of an answer in a passage."""
        body = self._corpus.body(passage)
        if not isinstance(answer, AnswerPattern):
            return [(first, len(answer)) for first in occurrences(body, answer, self.continues)]
        matches = answer.spans(self._corpus.passage(passage).text)
        if not matches:
            return []
        offsets = self._corpus.token_offsets(passage).tolist()
        cuts = [not self.continues[piece] for piece in body] + [True]
        first_at = {start: i for i, (start, _) in enumerate(offsets) if cuts[i]}
        end_at = {end: i + 1 for i, (_, end) in enumerate(offsets) if cuts[i + 1]}
        found = [(first_at[start], end_at[end]) for start, end in matches if start in first_at and end in end_at]
        return [(first, end - first) for first, end in found if first < end]
