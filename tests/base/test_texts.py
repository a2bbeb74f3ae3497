"""Several corpora as one, and the index of names against a search through every passage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.base.texts import SpanIndex, Texts, _hashes
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.errors import BadInput, Mismatch
from openrealm.masking.tagger import RulesTagger
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article


@pytest.fixture(scope="module")
def texts(toy_corpus: Corpus) -> Texts:
    return Texts([toy_corpus, toy_corpus], heldout_rate=0.2, seed=3)


def spans_of(texts: Texts, i: int) -> set[tuple[int, ...]]:
    return {tuple(texts.body[i][start:end].tolist()) for start, end in texts.spans[i].tolist()}


def test_passages_are_numbered_through_all_corpora(texts: Texts, toy_corpus: Corpus) -> None:
    size = len(toy_corpus)
    assert len(texts) == 2 * size
    for i in (0, 5, size - 1):
        for number in (i, size + i):
            assert texts.body[number].tolist() == toy_corpus.body_tokens(i).tolist()
            assert texts.title[number].tolist() == toy_corpus.title_tokens(i).tolist()
            assert texts.sentences[number].tolist() == toy_corpus.sentences(i).tolist()
            kept = [[a, b] for a, b, kind in toy_corpus.spans(i) if kind != "number" and b - a <= 8]
            assert texts.spans[number].tolist() == kept
        assert texts.group_N[size + i] == size + toy_corpus.group(i)
        assert texts.article_N[size + i] == size + toy_corpus.article_index(i)


def test_held_out_are_whole_articles_and_their_duplicates(texts: Texts) -> None:
    assert 0 < texts.is_heldout_N.sum() < len(texts) / 2
    held = texts.is_heldout_N
    for numbers in (texts.article_N, texts.group_N):
        for number in np.unique(numbers[held]):
            same = numbers == number
            assert held[same].all() or numbers is texts.article_N
    train_groups, held_groups = set(texts.group_N[~held].tolist()), set(texts.group_N[held].tolist())
    assert not train_groups & held_groups


def test_others_are_passages_that_hold_the_span_and_no_duplicate(texts: Texts) -> None:
    index, rng = SpanIndex(texts), np.random.default_rng(0)
    num_found = 0
    for passage in range(0, len(texts), 3):
        for pieces in spans_of(texts, passage):
            holders = {
                i
                for i in range(len(texts))
                if pieces in spans_of(texts, i) and texts.group_N[i] != texts.group_N[passage]
            }
            found = index.others(passage, np.array(pieces), rng).tolist()
            assert set(found) <= holders
            assert bool(found) == bool(holders) or len(holders) > 8
            num_found += len(found)
    assert num_found > 100


def test_the_closest_shares_the_rarest_words(texts: Texts) -> None:
    index = SpanIndex(texts)
    counts = np.bincount(texts.body.values, minlength=texts.tokenizer.vocab_size)
    rarity = np.log((counts.sum() + 1) / (counts + 1))
    rng = np.random.default_rng(1)
    for _ in range(30):
        query, answer = texts.body[int(rng.integers(len(texts)))], texts.body[int(rng.integers(len(texts)))][:2]
        passages = rng.integers(len(texts), size=5)
        shared = [
            sum(rarity[t] for t in set(texts.body[int(p)].tolist()) & (set(query.tolist()) - set(answer.tolist())))
            for p in passages
        ]
        best = index.closest(query, answer, passages)
        assert shared[passages.tolist().index(best)] == pytest.approx(max(shared), rel=1e-4)


def test_a_drawn_span_stands_somewhere(texts: Texts) -> None:
    index, rng = SpanIndex(texts), np.random.default_rng(2)
    everywhere = {pieces for i in range(len(texts)) for pieces in spans_of(texts, i)}
    drawn = {tuple(index.drawn(rng).tolist()) for _ in range(40)}
    assert drawn <= everywhere
    assert len(drawn) > 10


@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4), min_size=2, max_size=12))
def test_runs_of_tokens_have_one_hash_each(rows: list[list[int]]) -> None:
    tokens = np.array([token for row in rows for token in row])
    lengths = np.array([len(row) for row in rows])
    hashes = _hashes(tokens, np.cumsum(lengths) - lengths, lengths).tolist()
    for a, row in enumerate(rows):
        for b, other in enumerate(rows):
            assert (hashes[a] == hashes[b]) == (row == other)


def test_corpora_of_two_vocabularies_are_refused(
    toy_corpus: Corpus, vocabulary_folder: Path, tmp_path: Path, toy_articles: list[Article]
) -> None:
    other = build_corpus(
        toy_articles[:3],
        tmp_path / "other",
        Tokenizer.from_folder(vocabulary_folder),
        max_passage_tokens=60,
        tagger=RulesTagger(),
        source={},
    )
    with pytest.raises(Mismatch, match="build them with the same vocabulary"):
        Texts([toy_corpus, other], 0.1, 0)
    with pytest.raises(BadInput, match="no corpus to train a base encoder on"):
        Texts([], 0.1, 0)
