"""Where answers occur in passages: on word-piece and word boundaries, never as a raw substring (ORQA's rule)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from openrealm.corpus.store import Corpus
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Question

Pieces = tuple[int, ...]


def continuation_ids(tokenizer: Tokenizer) -> npt.NDArray[np.bool_]:
    """V booleans: True for word pieces that continue a word ("##s")."""
    return np.array([tokenizer.token(i).startswith("##") for i in range(tokenizer.vocab_size)])


def occurrences(body: npt.NDArray[np.int64], answer: Pieces, continues: npt.NDArray[np.bool_]) -> list[int]:
    """Starts of `answer` in `body` that end where a word ends."""
    if not 0 < len(answer) <= len(body):
        return []
    hits = np.flatnonzero(
        (np.lib.stride_tricks.sliding_window_view(body, len(answer)) == np.asarray(answer)).all(axis=1)
    )
    ends = hits + len(answer)
    return [int(s) for s, e in zip(hits, ends, strict=True) if e == len(body) or not continues[body[e]]]


class AnswerFinder:
    """All passages that contain an answer, by postings of the answer's rarest piece; each answer is looked up once."""

    def __init__(self, corpus: Corpus) -> None:
        self._tokenizer = corpus.tokenizer()
        self.continues = continuation_ids(self._tokenizer)
        bodies = [np.asarray(corpus.body_tokens(i), dtype=np.int64) for i in range(corpus.num_passages)]
        self._bodies = bodies
        postings: dict[int, list[int]] = defaultdict(list)
        for number, body in enumerate(bodies):
            for piece in np.unique(body).tolist():
                postings[piece].append(number)
        self._postings = postings
        self._found: dict[Pieces, frozenset[int]] = {}

    def pieces(self, question: Question) -> list[Pieces]:
        """The word pieces of every answer of a question; one with an unknown piece may be anything and is left out."""
        rows = self._tokenizer.encode_batch(list(question.answers))
        return [tuple(ids) for ids, _ in rows if ids and self._tokenizer.unk_id not in ids]

    def passages_with(self, answer: Pieces) -> frozenset[int]:
        """Numbers of the passages whose body contains the answer."""
        if answer not in self._found:
            rarest = min(answer, key=lambda piece: len(self._postings.get(piece, ())))
            self._found[answer] = frozenset(
                n for n in self._postings.get(rarest, ()) if occurrences(self._bodies[n], answer, self.continues)
            )
        return self._found[answer]

    def passages_for(self, question: Question) -> set[int]:
        """Numbers of the passages that contain some answer of the question."""
        return set().union(*(self.passages_with(answer) for answer in self.pieces(question)))

    def correct_spans(self, passage: int, answers: Sequence[Pieces], num_widths: int) -> list[tuple[int, int]]:
        """(first token, width - 1) of each occurrence in a body of an answer of at most `num_widths` pieces."""
        body = self._bodies[passage]
        return [
            (start, len(answer) - 1)
            for answer in dict.fromkeys(answers)
            if len(answer) <= num_widths
            for start in occurrences(body, answer, self.continues)
        ]
