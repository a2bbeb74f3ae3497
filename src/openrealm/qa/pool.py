"""The training data of a question-answering model: for each question the correct spans, and passages without them."""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from openrealm.corpus.corpus import Corpus
from openrealm.index.bm25 import Bm25
from openrealm.progress import track
from openrealm.qa.questions import Asked
from openrealm.train.answers import AnswerFinder
from openrealm.train.spans import tokenize
from openrealm.types import Question

_SEARCHED = 24
_AT_ONCE = 512

Span = tuple[int, int, int]
"""(passage, first token of its body, width - 1)."""


@dataclass(frozen=True, slots=True)
class Item:
    """A question with its passages.

    tokens     word pieces of the question
    spans      correct spans, all in passages of the question's own paragraph
    negatives  passages without an answer that look relevant, best first
    """

    tokens: npt.NDArray[np.int64]
    spans: tuple[Span, ...]
    negatives: tuple[int, ...]


def items(
    corpus: Corpus, asked: Sequence[Asked], *, max_query_tokens: int, max_span_tokens: int, num_negatives: int
) -> list[Item]:
    """Find the correct spans of each question, and by BM25 passages without an answer.

    corpus  passages of the `paragraphs` of these questions, and of others
    Questions whose paragraph holds no answer of at most `max_span_tokens` are left out.
    """
    finder = AnswerFinder(corpus)
    passages_of: dict[str, list[int]] = defaultdict(list)
    for number in range(corpus.num_passages):
        passages_of[corpus.passage(number).article_id].append(number)
    bm25 = Bm25.build(corpus)
    tokenized = tokenize([one.text for one in asked], corpus.tokenizer(), max_query_tokens)
    out = []
    with track("finding passages without the answer", len(asked)) as advance:
        for start in range(0, len(asked), _AT_ONCE):
            part = asked[start : start + _AT_ONCE]
            _, found = bm25.search([one.text for one in part], _SEARCHED)
            for one, question, numbers in zip(part, tokenized[start:], found.tolist(), strict=False):
                sought = finder.sought(Question(one.text, one.answers))
                own = passages_of[one.article_id]
                spans = tuple(
                    (number, first, width)
                    for number in own
                    for first, width in finder.correct_spans(number, sought, max_span_tokens)
                )
                if spans:
                    wrong = [
                        n for n in numbers if n not in own and not finder.correct_spans(n, sought, max_span_tokens)
                    ]
                    out.append(Item(question.tokens, spans, tuple(wrong[:num_negatives])))
            advance(len(part))
    return out


def digest_of(sources: Sequence[Sequence[Item]]) -> str:
    """Hex SHA-256 of the items of several sources."""
    digest = hashlib.sha256()
    for item in itertools.chain.from_iterable(sources):
        digest.update(repr((item.tokens.tolist(), item.spans, item.negatives)).encode())
    return digest.hexdigest()
