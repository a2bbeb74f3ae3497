"""Recurring-span pairs: a sentence, and another passage with one of its names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.recurring import RecurringSpans
from openrealm.errors import BadInput
from openrealm.train.examples import contains
from openrealm.train.recurring import RecurringPairs, recurring_pairs
from openrealm.types import Article


@pytest.mark.parametrize("remove_rate", [0.0, 0.5, 1.0])
def test_a_pair_is_a_sentence_and_another_passage_that_contains_one_of_its_names(
    toy_corpus: Corpus, remove_rate: float
) -> None:
    spans = RecurringSpans(toy_corpus, kinds=("entity",), max_passages=100)
    passages = spans.passages.tolist() * 2
    pairs = recurring_pairs(
        toy_corpus, spans, passages, np.random.default_rng(0), max_query_tokens=40, remove_rate=remove_rate
    )
    assert len(pairs) == len(passages) > 60
    rows = {tuple(toy_corpus.passage_row(i).ids.tolist()): i for i in range(len(toy_corpus))}
    num_removed = 0
    for passage, query, found in zip(passages, pairs.queries, pairs.passages, strict=True):
        other = rows[tuple(found.ids.tolist())]
        assert toy_corpus.group(other) != toy_corpus.group(passage)
        body, sentence = toy_corpus.body(passage), query.ids[1:-1].tolist()
        names = [
            (start, end, low, high)
            for start, end in spans.occurrences(passage)[0].tolist()
            for low, high in toy_corpus.sentences(passage).tolist()
            if low <= start < high and contains(toy_corpus.body(other), body[start:end])
        ]
        whole = [body[low:high].tolist() for _, _, low, high in names]
        without = [[*body[low:start].tolist(), *body[end:high].tolist()] for start, end, low, high in names]
        assert sentence in whole or sentence in without
        num_removed += sentence in without
    if remove_rate in (0.0, 1.0):
        assert num_removed == remove_rate * len(passages)
    else:
        assert 0.3 < num_removed / len(passages) < 0.7


def test_a_batch_is_a_function_of_seed_and_step(toy_config: Callable[..., Config], toy_corpus: Corpus) -> None:
    def ids(step: int, seed: int = 0) -> list[list[int]]:
        pairs = RecurringPairs(toy_config(f"seed={seed}"), toy_corpus).pairs(step, 8)
        return [row.ids.tolist() for row in (*pairs.queries, *pairs.passages)]

    one = ids(3)
    assert ids(3) == one
    assert ids(4) != one
    assert ids(3, seed=1) != one


def test_text_without_recurring_names_is_refused(
    tmp_path: Path, toy_config: Callable[..., Config], toy_backbone: Path
) -> None:
    corpus = Corpus.build([Article("a", "", "bread is made of flour.")], tmp_path / "c", backbone=str(toy_backbone))
    with pytest.raises(BadInput, match="no name that occurs in several passages"):
        RecurringPairs(toy_config(), corpus)
