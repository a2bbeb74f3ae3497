"""Leakage: how often a candidate contains the query's own sentence, answer included, despite blocking."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from openrealm.config import MaskingConfig
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.duplicates import text_key
from openrealm.corpus.near_duplicates import MAX_GROUP
from openrealm.index.bm25 import Bm25
from openrealm.train.examples import Example, masked_example

Ids = npt.NDArray[np.int64]
Blocked = Callable[[int], Collection[int]]

NUM_CANDIDATES = 20
SHINGLE_TOKENS = 3
MIN_SHARE = 0.8
# Shorter sentences are stock phrases that fit many articles ("she was born in ..."), not copies.
MIN_TOKENS = 10


@dataclass(frozen=True, slots=True)
class Leaks:
    """The shares of `num_queries` masked queries with a leaking candidate, by what is blocked.

    ids      only the query's own passage
    equal    also passages with the same text
    grouped  everything that training blocks
    """

    num_queries: int
    ids: float
    equal: float
    grouped: float


def leak_rate(
    corpus: Corpus,
    masking: MaskingConfig,
    *,
    queries: Corpus | None = None,
    blocked: Blocked | None = None,
    num_queries: int = 1000,
    max_query_tokens: int = 96,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Leaks:
    """How often one of BM25's top 20 passages contains a query's sentence nearly verbatim, with the answer in place.

    queries   the corpus that the masked sentences come from (X); by default `corpus` itself
    blocked   the groups of `corpus` that are blocked for a passage of X, such as `Matches.groups`; by default the
              passage's own group, which requires X to be `corpus`
    progress  is called with increments that add up to at most `num_queries`
    """
    source = queries or corpus
    own = blocked or (lambda passage: (corpus.group(passage),))
    index = Bm25.build(corpus)
    num_made, counts = 0, np.zeros(3, dtype=np.int64)
    for example in islice(_examples(source, masking, max_query_tokens - 2, seed), num_queries):
        _, found = index.search([_unmasked_words(source, example)], NUM_CANDIDATES + MAX_GROUP)
        rules = _allowed(corpus, source, example.passage, own(example.passage), queries is None)
        counts += [_any_leaks(corpus, example, found[0].tolist(), is_allowed) for is_allowed in rules]
        num_made += 1
        if progress is not None:
            progress(1)
    return Leaks(num_made, *(counts / max(1, num_made)).tolist())


def _examples(source: Corpus, masking: MaskingConfig, max_tokens: int, seed: int) -> Iterator[Example]:
    """Masked sentences of `source` that are long enough, without titles, one per passage."""
    untitled = replace(masking, title_in_query=False)
    for passage in np.random.default_rng([seed, 0]).permutation(source.num_passages).tolist():
        example = masked_example(source, passage, untitled, max_tokens, np.random.default_rng([seed, 1, passage]))
        if example is not None and len(example.query) >= MIN_TOKENS:
            yield example


def _unmasked_words(source: Corpus, example: Example) -> str:
    """The text of the query without the masked words."""
    return source.tokenizer().decode(np.delete(example.query, example.positions))


def _allowed(
    corpus: Corpus, source: Corpus, passage: int, blocked: Collection[int], is_same: bool
) -> Sequence[Callable[[int], bool]]:
    """For each field of Leaks, a function that says whether a passage may be a candidate."""
    key = text_key(source.passage(passage).text)

    def differs(candidate: int) -> bool:
        return not is_same or candidate != passage

    def differs_in_text(candidate: int) -> bool:
        return differs(candidate) and text_key(corpus.passage(candidate).text) != key

    return differs, differs_in_text, lambda candidate: differs(candidate) and corpus.group(candidate) not in blocked


def _any_leaks(corpus: Corpus, example: Example, ranked: Sequence[int], is_allowed: Callable[[int], bool]) -> bool:
    """Whether one of the first NUM_CANDIDATES allowed passages of `ranked` leaks."""
    candidates = islice(filter(is_allowed, ranked), NUM_CANDIDATES)
    return any(leaks(example, np.asarray(corpus.body_tokens(passage), dtype=np.int64)) for passage in candidates)


def leaks(example: Example, body: Ids) -> bool:
    """Whether a passage contains at least 80% of the query's three-token shingles, including one with answer tokens."""
    query = _shingles(example.original)
    has = np.isin(query, _shingles(body))
    answer = np.asarray(example.positions)[:, None] - np.arange(SHINGLE_TOKENS)
    touching = answer[(answer >= 0) & (answer < len(query))]
    return bool(has.mean() >= MIN_SHARE and has[touching].any()) if len(query) else False


def _shingles(tokens: Ids) -> Ids:
    """Every three consecutive tokens packed into one integer; token ids are below 2**21."""
    if len(tokens) < SHINGLE_TOKENS:
        return np.zeros(0, dtype=np.int64)
    return tokens[:-2] << 42 | tokens[1:-1] << 21 | tokens[2:]
