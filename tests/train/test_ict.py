"""The Inverse Cloze Task: its pairs, and batches as functions of seed and step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.train.examples import contains
from openrealm.train.ict import InverseCloze, inverse_cloze


@pytest.mark.parametrize("remove_rate", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("with_title", [False, True])
def test_pairs_are_sentences_and_passages_from_which_they_are_removed_at_the_given_rate(
    toy_corpus: Corpus, remove_rate: float, with_title: bool
) -> None:
    passages = list(range(60)) * 2
    pairs = inverse_cloze(
        toy_corpus,
        passages,
        np.random.default_rng(0),
        max_query_tokens=40,
        remove_rate=remove_rate,
        with_title=with_title,
    )
    assert len(pairs) == len(pairs.passages) == len(passages)
    num_removed = num_several = 0
    for passage, query, target in zip(passages, pairs.queries, pairs.passages, strict=True):
        body = toy_corpus.body(passage)
        title = toy_corpus.title_tokens(passage).tolist()
        head = [toy_corpus.specials.cls, *(title + toy_corpus.tokenizer().encode(":")[0] if with_title else [])]
        assert query.ids[: len(head)].tolist() == head
        sentence = query.ids[len(head) : -1]
        bounds = toy_corpus.sentences(passage).tolist()
        assert sentence.tolist() in [body[a:b].tolist() for a, b in bounds]
        assert target.ids[: target.second].tolist() == [toy_corpus.specials.cls, *title, toy_corpus.specials.sep]
        kept = target.ids[target.second : -1]
        if len(bounds) == 1:
            assert kept.tolist() == body.tolist(), "a passage keeps its only sentence"
            continue
        num_several += 1
        if kept.tolist() != body.tolist():
            num_removed += 1
            assert len(kept) == len(body) - len(sentence)
            assert not contains(kept, sentence)
    assert num_several > 50
    if remove_rate in (0.0, 1.0):
        assert num_removed == remove_rate * num_several
    else:
        assert 0.3 < num_removed / num_several < 0.7


def test_a_batch_is_a_function_of_seed_and_step(toy_config: Callable[..., Config], toy_corpus: Corpus) -> None:
    def ids(step: int, seed: int = 0) -> list[list[int]]:
        pairs = InverseCloze(toy_config(f"seed={seed}"), toy_corpus).pairs(step, 8)
        return [row.ids.tolist() for row in (*pairs.queries, *pairs.passages)]

    one = ids(3)
    assert ids(3) == one
    assert ids(4) != one
    assert ids(3, seed=1) != one
