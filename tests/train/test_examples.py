"""Masked examples: consistent, without leaks of the answer, and pure functions of seed, step and rank."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.config import MaskingConfig
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.errors import BadInput
from openrealm.masking.tagger import RulesTagger
from openrealm.train.examples import (
    Example,
    MaskedExamples,
    Order,
    Queries,
    _held_out,
    contains,
    maskable_names,
    masked_example,
    usable_passages,
    window,
)
from openrealm.types import Article

STRATEGIES = ("salient", "uniform", "span")


@given(st.integers(1, 12), st.integers(0, 99), st.integers(0, 40), st.integers(1, 15))
def test_the_order_is_a_new_permutation_per_epoch_with_random_access(
    num_items: int, seed: int, start: int, count: int
) -> None:
    items = [10 * number for number in range(num_items)]
    whole = Order(items, seed).take(0, 6 * num_items)
    for epoch in range(6):
        assert sorted(whole[epoch * num_items : (epoch + 1) * num_items]) == items
    order = Order(items, seed)
    order.take(start + 7, 3)
    assert order.take(start, count) == Order(items, seed).take(0, start + count)[start:]


def test_epochs_and_seeds_differ() -> None:
    order = Order(range(50), 0)
    assert order.take(0, 50) != order.take(50, 50)
    assert order.take(0, 50) != Order(range(50), 1).take(0, 50)


@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 5), st.integers(0, 5))
def test_neighbours_are_the_following_items_without_repeats(num_items: int, num_runs: int, run: int, step: int) -> None:
    items = [3 * number for number in range(num_items)]
    count = num_runs * run
    taken = Order(items, 0).take_with_neighbours(step * count, count, run)
    assert len(set(taken)) == len(taken) <= count
    heads = Order(items, 0).take(step * num_runs, num_runs)
    assert taken == list(dict.fromkeys(3 * ((head // 3 + k) % num_items) for head in heads for k in range(run)))


def test_an_empty_list_of_items_is_refused() -> None:
    with pytest.raises(BadInput, match="nothing to train on"):
        Order([], 0)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.data())
def test_the_window_contains_the_span_and_at_most_its_sentences(sizes: list[int], data: st.DataObject) -> None:
    ends = np.cumsum(sizes)
    sentences = np.stack([ends - sizes, ends], axis=1).astype(np.int64)
    start = data.draw(st.integers(0, int(ends[-1]) - 1))
    end = data.draw(st.integers(start + 1, min(int(ends[-1]), start + 5)))
    max_tokens = data.draw(st.integers(end - start, 20))
    low, high = window(sentences, start, end, max_tokens)
    touched = [(int(a), int(b)) for a, b in sentences if a < end and b > start]
    assert touched[0][0] <= low <= start < end <= high <= touched[-1][1]
    assert high - low <= max_tokens
    if touched[-1][1] - touched[0][0] <= max_tokens:
        assert (low, high) == (touched[0][0], touched[-1][1])


def check(corpus: Corpus, example: Example, config: MaskingConfig, max_tokens: int) -> int:
    """Assert what holds for any example; returns where the passage's text begins in the query."""
    mask = corpus.tokenizer().mask_id
    body = corpus.body_tokens(example.passage).astype(np.int64)
    title = [*corpus.title_tokens(example.passage).tolist(), *corpus.tokenizer().encode(":")[0]]
    assert 0 < len(example.positions) == len(example.gold) <= config.max_masked_tokens
    assert len(example.query) <= max_tokens
    assert np.flatnonzero(example.query == mask).tolist() == list(example.positions)
    assert mask not in example.original
    assert example.original[list(example.positions)].tolist() == list(example.gold)
    first = len(title) if config.title_in_query and example.query[: len(title)].tolist() == title else 0
    assert all(place >= first for place in example.positions)
    assert contains(body, example.original[first:]), "the gold tokens restore the text of the passage"
    if first:
        leak = (
            contains(np.array(title), example.gold) if config.strategy == "salient" else set(example.gold) & set(title)
        )
        assert not leak, "the title reveals the answer"
    return first


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("with_title", [False, True])
@pytest.mark.parametrize("max_tokens", [7, 12, 30])
def test_examples_are_consistent_within_limits_and_do_not_leak_the_answer(
    toy_corpus: Corpus, strategy: str, with_title: bool, max_tokens: int
) -> None:
    config = MaskingConfig(strategy=strategy, title_in_query=with_title, max_masked_tokens=4)
    made = []
    for passage in range(40):
        for seed in range(6):
            example = masked_example(toy_corpus, passage, config, max_tokens, np.random.default_rng([seed, passage]))
            if example is not None:
                made.append((check(toy_corpus, example, config, max_tokens), example))
    assert len(made) > 100
    assert {first > 0 for first, _ in made} == ({False, True} if with_title else {False})
    if strategy == "salient":
        for first, example in made:
            places = list(example.positions)
            assert places == list(range(places[0], places[-1] + 1))
            body = toy_corpus.body_tokens(example.passage)
            spans = [
                tuple(body[a:b].tolist()) for a, b, kind in toy_corpus.spans(example.passage) if kind == example.kind
            ]
            assert example.gold in spans
            assert (
                first
                or max_tokens < 30
                or not with_title
                or example.gold[0] in toy_corpus.title_tokens(example.passage)
            )


def test_only_spans_of_the_requested_kinds_and_length_are_masked(toy_corpus: Corpus) -> None:
    for max_masked, kinds, expected in ((1, ("entity", "date"), {"entity"}), (3, ("date",), {"date"})):
        config = MaskingConfig(max_masked_tokens=max_masked, kinds=kinds)
        made = [
            masked_example(toy_corpus, i, config, 30, np.random.default_rng(n)) for i in range(20) for n in range(9)
        ]
        assert {example.kind for example in made if example} == expected
        assert max(len(example.gold) for example in made if example) == max_masked


@pytest.mark.parametrize("fewest", [1, 2, 5])
def test_only_names_in_enough_passages_are_masked(toy_corpus: Corpus, fewest: int) -> None:
    config = MaskingConfig(min_passages=fewest)
    expected = names_in(toy_corpus, config, fewest)
    names = toy_corpus.names
    chosen = maskable_names(toy_corpus, config, 30)
    found = {
        (tuple(toy_corpus.body_tokens(i)[start:end].tolist()), kind)
        for i in range(len(toy_corpus))
        for (start, end, kind), is_chosen in zip(toy_corpus.spans(i), names.is_chosen(i, chosen), strict=True)
        if is_chosen
    }
    assert found == expected
    assert len(expected) == chosen.sum() > 0
    examples = MaskedExamples(toy_corpus, config, 30, 4, 0)
    made = [*examples.heldout, *(e for step in range(30) for e in examples.batch(step, 4))]
    assert {(e.gold, e.kind) for e in made} <= expected


def names_in(corpus: Corpus, config: MaskingConfig, fewest: int) -> set[tuple[tuple[int, ...], str]]:
    """The names that may be masked, by dictionaries."""
    where: dict[tuple[tuple[int, ...], str], set[int]] = {}
    for i in range(len(corpus)):
        sentences = corpus.sentences(i).tolist()
        for start, end, kind in corpus.spans(i):
            fits = any(first <= start < last and last - first >= 3 for first, last in sentences)
            if fits and kind in config.kinds and end - start <= config.max_masked_tokens:
                name = (tuple(corpus.body_tokens(i)[start:end].tolist()), kind)
                where.setdefault(name, set()).add(corpus.group(i))
    return {name for name, groups in where.items() if len(groups) >= fewest}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("fewest", "max_tokens"), [(1, 30), (3, 30), (1, 5), (1, 2)])
def test_usable_passages_are_those_that_ever_give_an_example(
    toy_corpus: Corpus, strategy: str, fewest: int, max_tokens: int
) -> None:
    config = MaskingConfig(strategy=strategy, min_passages=fewest)
    chosen = maskable_names(toy_corpus, config, max_tokens) if strategy == "salient" else None
    found = usable_passages(toy_corpus, max_tokens, chosen).tolist()
    expected = [
        i
        for i in range(len(toy_corpus))
        if any(masked_example(toy_corpus, i, config, max_tokens, np.random.default_rng(n), chosen) for n in range(20))
    ]
    assert found == expected


@pytest.fixture(scope="module")
def made(toy_corpus: Corpus) -> MaskedExamples:
    return MaskedExamples(toy_corpus, MaskingConfig(), 30, 8, 3)


def test_batches_are_pure_functions_of_seed_and_step(toy_corpus: Corpus) -> None:
    def examples(seed: int = 3) -> MaskedExamples:
        return MaskedExamples(toy_corpus, MaskingConfig(), 30, 8, seed)

    def flat(batch: list[Example]) -> list[tuple[object, ...]]:
        return [(e.query.tolist(), e.positions, e.gold, e.passage, e.kind) for e in batch]

    one, other = examples(), examples()
    steps = [0, 30, 2, 1, 30]
    assert [flat(one.batch(step, 5)) for step in steps] == [flat(examples().batch(step, 5)) for step in steps]
    assert flat(one.heldout) == flat(other.heldout)
    assert flat(one.batch(0, 5)) != flat(examples(4).batch(0, 5))
    again = one.batch(len(one) // 5 + 1, 5)
    assert flat(again) != flat(one.batch(1, 5)), "masks change from epoch to epoch"


@given(st.integers(0, 40), st.integers(1, 9), st.integers(1, 5))
def test_any_number_of_ranks_divides_the_examples_of_a_step(
    made: MaskedExamples, step: int, size: int, num_ranks: int
) -> None:
    parts = [made.batch(step, size, rank, num_ranks) for rank in range(num_ranks)]
    whole = made.batch(step, size)
    for rank, part in enumerate(parts):
        assert [(e.passage, e.positions) for e in part] == [(e.passage, e.positions) for e in whole[rank::num_ranks]]
    assert sum(map(len, parts)) == size


@pytest.mark.parametrize("rank", [-1, 2])
def test_an_invalid_rank_is_refused(made: MaskedExamples, rank: int) -> None:
    with pytest.raises(BadInput, match=f"Rank {rank} is not one of 2 processes; expected 0 to 1"):
        made.batch(0, 4, rank, 2)


def test_queries_from_another_corpus_block_copies_of_their_passages(toy_corpus: Corpus, tmp_path: Path) -> None:
    texts = [toy_corpus.passage(n).text for n in range(30, 60)]
    other = build_corpus(
        [Article(str(n), "", text) for n, text in enumerate(texts)],
        tmp_path / "corpus",
        toy_corpus.tokenizer(),
        max_passage_tokens=60,
        tagger=RulesTagger(),
        source={},
    )
    blocked = {n: (n + 30, n + 40) for n in range(30)}
    config = MaskingConfig(min_passages=2)
    examples = MaskedExamples(toy_corpus, config, 30, 5, 0, Queries(other, blocked.__getitem__))
    made = [*examples.heldout, *(e for step in range(8) for e in examples.batch(step, 5))]
    assert {e.passage for e in made} <= set(range(30))
    for example in made:
        assert contains(other.body_tokens(example.passage).astype(np.int64), example.original)
        assert example.blocked == blocked[example.passage]
    recurring = names_in(toy_corpus, config, 2)
    assert {(e.gold, e.kind) for e in made} <= recurring, "masked spans must occur in the corpus they are looked up in"


@given(st.lists(st.integers(0, 5), min_size=4, max_size=40), st.integers(1, 12))
def test_held_out_groups_leave_three_quarters_to_train_on(groups: list[int], num_heldout: int) -> None:
    places = _held_out(groups, num_heldout)
    held = {groups[place] for place in places}
    num_held = sum(group in held for group in groups)
    assert len(places) == len(set(places)) <= num_heldout
    assert bool(places) == (len(set(groups)) > 1)
    # Only the first group may be larger than a quarter.
    assert num_held <= len(groups) // 4 or len(held) == 1
    if len(places) < num_heldout and places:
        spare = len(groups) // 4 - num_held
        assert all(groups.count(group) > spare for group in set(groups) - held), "no other group would have fitted"


def test_held_out_passages_and_their_duplicates_are_never_trained_on(toy_corpus: Corpus) -> None:
    twins = {95, 97}
    assert toy_corpus.group(95) == toy_corpus.group(97)
    met_twins = False
    for seed in range(12):
        examples = MaskedExamples(toy_corpus, MaskingConfig(), 30, 20, seed)
        held = {example.passage for example in examples.heldout}
        assert len(examples.heldout) == len(held) == 20
        trained = {e.passage for step in range(len(examples) // 4 + 1) for e in examples.batch(step, 4)}
        assert len(trained) == len(examples)
        assert not {toy_corpus.group(p) for p in held} & {toy_corpus.group(p) for p in trained}
        met_twins = met_twins or len(held & twins) == 1
    assert met_twins


def test_no_more_than_a_quarter_is_held_out(toy_corpus: Corpus) -> None:
    examples = MaskedExamples(toy_corpus, MaskingConfig(), 30, 10_000, 0)
    assert len(examples.heldout) == (toy_corpus.num_passages) // 4


def test_a_corpus_with_nothing_to_mask_is_refused(tmp_path: Path, toy_corpus: Corpus) -> None:
    corpus = build_corpus(
        [Article("a", "", "it rains and it pours and the old man snores.")],
        tmp_path / "corpus",
        toy_corpus.tokenizer(),
        max_passage_tokens=60,
        tagger=RulesTagger(),
        source={},
    )
    with pytest.raises(BadInput, match=r"has 0 passages with something to mask .* at least 4 are needed"):
        MaskedExamples(corpus, MaskingConfig(), 30, 8, 0)


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=4))
def test_contains_agrees_with_a_direct_search(tokens: list[int], wanted: list[int]) -> None:
    slow = bool(wanted) and any(tokens[i : i + len(wanted)] == wanted for i in range(len(tokens)))
    assert contains(np.array(tokens, dtype=np.int64), wanted) == slow
