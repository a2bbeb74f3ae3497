"""Masked queries for a base encoder: what is hidden, the passage read with it, and the swap of names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.base.examples import ALONE, CONTEXTS, OWN, RELATED, BaseExamples, MaskedRow, swapped, swapped_query
from openrealm.base.settings import BaseSettings
from openrealm.base.texts import SpanIndex, Texts
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.masking.tagger import RulesTagger
from openrealm.text.tokenizer import Tokenizer
from openrealm.train.examples import contains
from openrealm.types import Article

SETTINGS = BaseSettings(
    heldout_rate=0.2, own_rate=0.3, related_rate=0.3, unrelated_rate=0.2, max_query_tokens=24, max_joint_tokens=128
)
tokens = st.lists(st.integers(5, 9), max_size=12).map(lambda row: np.array(row, dtype=np.int64))


@pytest.fixture(scope="module")
def texts(toy_corpus: Corpus) -> Texts:
    return Texts([toy_corpus], SETTINGS.heldout_rate, 0)


def make(texts: Texts, **changes: float) -> BaseExamples:
    return BaseExamples(texts, SpanIndex(texts), SETTINGS.replace(**changes))


def filled(row: MaskedRow) -> list[int]:
    ids = row.row.ids.copy()
    ids[row.positions] = row.gold
    return [int(i) for i in ids]


def parts(row: MaskedRow, examples: BaseExamples) -> tuple[np.ndarray, np.ndarray]:
    """The filled query and all of segment 1, without special tokens around."""
    ids = np.array(filled(row))
    return ids[1 : row.row.second - 1], ids[row.row.second : -1]


def test_an_example_is_a_function_of_its_number(texts: Texts) -> None:
    first, second = make(texts), make(texts)
    for number in (17, 3, 400):
        a, b = first.example(number), second.example(number)
        assert a.row.ids.tolist() == b.row.ids.tolist()
        assert a.gold.tolist() == b.gold.tolist()


def test_masks_stand_where_the_hidden_word_pieces_belong(texts: Texts) -> None:
    examples = make(texts, swap_rate=0.0, title_rate=0.0, long_rate=0.0)
    bodies = [texts.body[i] for i in range(len(texts))]
    for number in range(120):
        row = examples.example(number)
        assert len(row.gold) > 0
        assert (row.row.ids[row.positions] == examples.specials.mask).all()
        assert (row.row.ids == examples.specials.mask).sum() == len(row.positions)
        assert (row.positions < row.row.second).all(), "only the query is masked"
        query, _ = parts(row, examples)
        assert any(contains(body, query) for body in bodies)


def test_every_context_comes_at_its_rate(texts: Texts) -> None:
    examples = make(texts)
    counts = Counter(examples.example(number).context for number in range(1500))
    # A query without a name that stands elsewhere is read with its own passage instead.
    assert counts[OWN] + counts[RELATED] == pytest.approx(900, abs=90)
    assert counts[RELATED] > 300
    assert counts[ALONE] == pytest.approx(300, abs=60)


def test_a_passage_that_should_help_holds_what_is_hidden(texts: Texts) -> None:
    examples = make(texts, span_only_rate=1.0, title_rate=0.0)
    num_related = 0
    for number in range(400):
        row = examples.example(number)
        _, context = parts(row, examples)
        if row.context == RELATED:
            assert contains(context, row.gold)
            num_related += 1
        if row.context == ALONE:
            assert len(context) == 0
    assert num_related > 50


def test_a_swapped_name_is_not_the_one_that_the_text_has(texts: Texts) -> None:
    plain, swapping = make(texts, swap_rate=0.0), make(texts, swap_rate=1.0, span_only_rate=1.0)
    differing = 0
    for number in range(200):
        row = swapping.example(number)
        if row.context in (OWN, RELATED):
            _, context = parts(row, swapping)
            assert contains(context, row.gold)
            differing += row.row.ids.tolist() != plain.example(number).row.ids.tolist()
    assert differing > 50


def test_whole_words_are_hidden(toy_articles: list[Article], tokenizer: Tokenizer, tmp_path: Path) -> None:
    # A vocabulary of letters, so that nearly every word has several pieces.
    corpus = build_corpus(
        toy_articles[:12], tmp_path / "c", tokenizer, max_passage_tokens=90, tagger=RulesTagger(), source={}
    )
    texts = Texts([corpus], 0.0, 0)
    examples = make(texts, span_only_rate=0.0, swap_rate=0.0, max_query_tokens=60)
    continues = np.isin(np.arange(tokenizer.vocab_size), tokenizer.continuations())
    num_continued = 0
    for number in range(300):
        row = examples.example(number)
        ids, hidden = filled(row), set(row.positions.tolist())
        for place in hidden:
            if place + 1 < row.row.second and continues[ids[place + 1]]:
                assert place + 1 in hidden
                num_continued += 1
            if continues[ids[place]]:
                assert place - 1 in hidden
    assert num_continued > 300


def test_nothing_held_out_is_trained_on_as_a_query(texts: Texts) -> None:
    examples = make(texts)
    walked = set(examples.order.take(0, 3 * len(examples.order)))
    assert walked == set(np.flatnonzero(~texts.is_heldout_N).tolist())


def test_nothing_held_out_is_read_with_a_query(texts: Texts) -> None:
    examples = make(texts, swap_rate=0.0, long_rate=1.0)
    held = {tuple(texts.body[i].tolist()) for i in np.flatnonzero(texts.is_heldout_N).tolist()}
    for number in range(400):
        _, context = parts(examples.example(number), examples)
        body = tuple(context.tolist())
        assert not any(body[start : start + len(row)] == row for row in held for start in range(len(body)))


def test_held_out_queries_differ_only_in_their_context(texts: Texts) -> None:
    examples = make(texts)
    rows = examples.heldout_rows(50)
    assert len(rows) >= 10
    assert len(examples.heldout_rows(3)) == 3
    for row in rows:
        assert set(row) == set(CONTEXTS)
        queries = {tuple(row[name].row.ids[: row[name].row.second].tolist()) for name in CONTEXTS}
        assert len(queries) == 1
        assert contains(parts(row[RELATED], examples)[1], row[RELATED].gold)
        assert contains(parts(row[OWN], examples)[1], parts(row[OWN], examples)[0])
        assert parts(row[RELATED], examples)[1].tolist() != parts(row[OWN], examples)[1].tolist()


def slow_swap(row: list[int], old: list[int], new: list[int]) -> list[int]:
    out, place = [], 0
    while place < len(row):
        if old and row[place : place + len(old)] == old:
            out += new
            place += len(old)
        else:
            out.append(row[place])
            place += 1
    return out


@given(tokens, st.lists(st.integers(5, 7), max_size=3), tokens)
def test_every_run_is_swapped(row: np.ndarray, old: list[int], new: np.ndarray) -> None:
    found = swapped(row, np.array(old, dtype=np.int64), new)
    assert found.tolist() == slow_swap(row.tolist(), old, new.tolist())


@given(st.data())
def test_a_swapped_query_hides_the_new_span_and_what_it_hid_besides(data: st.DataObject) -> None:
    row = data.draw(st.lists(st.integers(5, 9), min_size=1, max_size=12))
    start = data.draw(st.integers(0, len(row) - 1))
    length = data.draw(st.integers(1, len(row) - start))
    others = data.draw(st.sets(st.integers(0, len(row) - 1))) - set(range(start, start + length))
    new = data.draw(st.lists(st.integers(20, 29), min_size=1, max_size=4))
    hidden = np.array(sorted(others | set(range(start, start + length))))
    got, places = swapped_query(np.array(row), hidden, start, length, np.array(new))
    assert got.tolist() == row[:start] + new + row[start + length :]
    assert [token for token in got[places].tolist() if token < 20] == [row[i] for i in sorted(others)]
    assert [token for token in got[places].tolist() if token >= 20] == new
