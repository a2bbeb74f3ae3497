"""Candidates from an index, and a joint reading compared with reading one pair at a time."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from openrealm.config import MaskingConfig, PretrainConfig
from openrealm.corpus.corpus import Corpus
from openrealm.index.index import Binding, Index
from openrealm.model.reading import JointInputs, Reading
from openrealm.model.realm import Realm
from openrealm.train.candidates import (
    find_candidates,
    pack_candidates,
    passages_to_read,
    queries_to_read,
    share_between,
)
from openrealm.train.examples import Example, MaskedExamples
from openrealm.types import NULL


@pytest.fixture(scope="module")
def model(toy_realm: Callable[..., Realm]) -> Realm:
    return toy_realm("model.dropout=0", "model.temperature=0.5").double().eval()


@pytest.fixture(scope="module")
def examples(toy_corpus: Corpus) -> list[Example]:
    return MaskedExamples(toy_corpus, MaskingConfig(), 30, 8, 0).batch(0, 6)


@pytest.mark.parametrize("use_null", [True, False])
@pytest.mark.parametrize("block", [True, False])
def test_candidates_are_the_null_passage_and_the_best_that_are_not_trivial(
    toy_corpus: Corpus, examples: list[Example], use_null: bool, block: bool
) -> None:
    torch.manual_seed(0)
    group_N = torch.tensor([toy_corpus.group(i) for i in range(toy_corpus.num_passages)])
    vector_ND, query_BD = torch.randn(len(group_N), 4), torch.randn(len(examples), 4)
    # Give each query's own passage the highest score.
    for b, example in enumerate(examples):
        vector_ND[example.passage] = 100 * query_BD[b]
    index = Index(vector_ND, Binding("e", "t", "c"), group_N=group_N)
    found = find_candidates(index, query_BD.double(), examples, 5, use_null=use_null, block_trivial=block)
    for b, (example, row) in enumerate(zip(examples, found, strict=True)):
        assert len(row) == len(set(row)) == 5
        assert (row[0] == NULL) == use_null
        assert NULL not in row[1:]
        own = [p for p in row[use_null:] if toy_corpus.group(p) == toy_corpus.group(example.passage)]
        assert own == ([] if block else [example.passage])
        order = (vector_ND @ query_BD[b]).argsort(descending=True).tolist()
        allowed = [p for p in order if not block or group_N[p] != group_N[example.passage]]
        assert row[use_null:] == allowed[: 5 - use_null]


CANDIDATES = [[NULL, 3, 9, 50], [NULL, 9], [NULL, 3, 12, 7], [NULL], [NULL, 80, 81], [NULL, 9, 3]]


def inputs_of(corpus: Corpus, examples: list[Example]) -> JointInputs:
    settings = PretrainConfig(max_query_tokens=32, max_joint_tokens=80)
    return pack_candidates(corpus, examples, CANDIDATES, settings, with_title=True)


@pytest.mark.parametrize("vectors_are_known", [True, False])
@torch.no_grad()
def test_scores_are_inner_products_of_the_live_towers(
    model: Realm, toy_corpus: Corpus, examples: list[Example], vectors_are_known: bool
) -> None:
    query_BD = model.retriever.encode_query([toy_corpus.query_row(e.query, 32) for e in examples])
    reading = model(inputs_of(toy_corpus, examples), query_BD if vectors_are_known else None)
    assert reading.score_BK.shape == reading.valid_BK.shape == (6, 4)
    assert reading.candidates == CANDIDATES
    assert reading.has_null
    for b, (example, row) in enumerate(zip(examples, CANDIDATES, strict=True)):
        assert reading.valid_BK[b].tolist() == [True] * len(row) + [False] * (4 - len(row))
        query_D = model.retriever.query_tower([toy_corpus.query_row(example.query, 32)])[0] / 0.5
        for k, passage in enumerate(row):
            passage_D = model.retriever.passage_tower([toy_corpus.passage_row(passage)])[0]
            assert float(reading.score_BK[b, k]) == pytest.approx(float(query_D @ passage_D), rel=1e-9, abs=1e-12)


@torch.no_grad()
def test_a_joint_reading_agrees_with_reading_each_pair_alone(
    model: Realm, toy_corpus: Corpus, examples: list[Example]
) -> None:
    reading = model(inputs_of(toy_corpus, examples))
    assert reading.mask_BJ.tolist() == [
        [j < len(e.positions) for j in range(max(len(e.positions) for e in examples))] for e in examples
    ]
    for b, (example, row) in enumerate(zip(examples, CANDIDATES, strict=True)):
        for k, passage in enumerate(row):
            joint, _ = toy_corpus.joint_row(example.query, passage, 80, with_title=True)
            places = [place + 1 for place in example.positions]
            assert joint.ids[places].tolist() == [toy_corpus.specials.mask] * len(places)
            alone_1J = model.reader.gold_log_prob([joint], [places], [list(example.gold)])
            got_J = reading.gold_logp_BKJ[b, k, : len(places)]
            torch.testing.assert_close(got_J, alone_1J[0], rtol=1e-9, atol=1e-9)
        assert not reading.gold_logp_BKJ[b, len(row) :].any()


def test_all_tokens_read_by_towers_and_reader_are_counted(
    model: Realm, toy_corpus: Corpus, examples: list[Example]
) -> None:
    inputs = inputs_of(toy_corpus, examples)
    pairs = [(e, p) for e, row in zip(examples, CANDIDATES, strict=True) for p in row]
    expected = sum(len(toy_corpus.joint_row(e.query, p, 80, with_title=True)[0]) for e, p in pairs)
    expected += sum(len(toy_corpus.passage_row(p)) for p in {p for _, p in pairs})
    expected += sum(len(toy_corpus.query_row(e.query, 32)) for e in examples)
    assert inputs.num_tokens == expected
    reading = model(inputs)
    assert reading.score_BK.requires_grad
    assert reading.gold_logp_BKJ.requires_grad
    detached = reading.detach()
    assert not detached.score_BK.requires_grad
    assert detached.candidates == CANDIDATES


@given(
    is_answerable=st.lists(st.booleans(), min_size=1, max_size=40),
    num_read=st.integers(1, 20),
    share=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]),
)
def test_the_first_answerable_queries_are_read_and_others_at_their_share(
    is_answerable: list[bool], num_read: int, share: float
) -> None:
    chosen = queries_to_read(is_answerable, num_read, share)
    assert chosen == sorted(set(chosen))
    assert 1 <= len(chosen) <= num_read
    answerable = [i for i in range(len(is_answerable)) if is_answerable[i]]
    others = [i for i in range(len(is_answerable)) if not is_answerable[i]]
    read = [i for i in chosen if is_answerable[i]], [i for i in chosen if not is_answerable[i]]
    assert read == (answerable[: len(read[0])], others[: len(read[1])])
    if len(chosen) > 1:
        assert len(read[1]) <= share * len(chosen) + 1e-6
    if len(answerable) >= num_read and len(others) >= num_read:
        assert len(read[1]) == int(share * num_read)
        assert len(chosen) == num_read


@given(has_span=st.lists(st.booleans(), max_size=20), num_read=st.integers(2, 12), has_null=st.booleans())
def test_the_best_passages_with_the_span_and_the_best_others_are_read(
    has_span: list[bool], num_read: int, has_null: bool
) -> None:
    found, has_span = [NULL] * has_null + list(range(50, 50 + len(has_span))), [False] * has_null + has_span
    chosen = passages_to_read(found, has_span, num_read)
    assert len(chosen) == min(num_read, len(found))
    assert chosen == [passage for passage in found if passage in chosen], "in the order found"
    assert not has_null or chosen[0] == NULL
    holders = [passage for passage, is_it in zip(found, has_span, strict=True) if is_it]
    others = [passage for passage, is_it in zip(found, has_span, strict=True) if not is_it and passage != NULL]
    read = [passage for passage in chosen if passage in holders], [passage for passage in chosen if passage in others]
    assert read == (holders[: len(read[0])], others[: len(read[1])])
    room = num_read - has_null
    if len(holders) >= room and len(others) >= room:
        assert len(read[0]) == (room + 1) // 2


@torch.no_grad()
def test_the_candidates_of_other_queries_count_as_unread_ones(
    model: Realm, toy_corpus: Corpus, examples: list[Example]
) -> None:
    settings = PretrainConfig(max_query_tokens=32, max_joint_tokens=80, share_candidates=True)
    candidates = [*CANDIDATES[:-1], [NULL, examples[0].passage]]  # the first query's own passage
    reading = model(pack_candidates(toy_corpus, examples, candidates, settings, with_title=True))
    distinct = sorted({passage for row in candidates for passage in row})
    assert reading.unread_score_BU is not None
    for b, (example, row) in enumerate(zip(examples, candidates, strict=True)):
        query_D = model.retriever.query_tower([toy_corpus.query_row(example.query, 32)])[0] / 0.5
        total, sum_of_weights = 0.0, 0.0
        for u, passage in enumerate(distinct):
            is_trivial = passage != NULL and toy_corpus.group(passage) in example.blocked
            is_unread = passage != NULL and passage not in row and not is_trivial
            assert bool(reading.unread_score_BU[b, u] > -torch.inf) == is_unread
            if passage in row or is_unread:
                passage_D = model.retriever.passage_tower([toy_corpus.passage_row(passage)])[0]
                weight = float((query_D @ passage_D).exp())
                column = row.index(passage) if passage in row else 0
                logp_J = reading.gold_logp_BKJ[b, column, : len(example.positions)]
                total += weight * float(logp_J.sum().exp())
                sum_of_weights += weight
        assert float(reading.marginal_loss()[b]) == pytest.approx(-math.log(total / sum_of_weights), rel=1e-9)


def test_unread_candidates_lower_the_scores_of_passages_but_leave_the_reader_alone() -> None:
    score_BK = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    unread_score_BU = torch.tensor([[0.0, -torch.inf]], dtype=torch.float64, requires_grad=True)
    gold_logp_BKJ = torch.tensor([[[-3.0], [-1.0]]], dtype=torch.float64, requires_grad=True)
    is_there = torch.ones(1, 2, dtype=torch.bool)
    reading = Reading(
        score_BK=score_BK,
        gold_logp_BKJ=gold_logp_BKJ,
        mask_BJ=is_there[:, :1],
        valid_BK=is_there,
        unread_score_BU=unread_score_BU,
    )
    reading.marginal_loss().sum().backward()
    p_null, p_read = math.exp(-3.0), math.exp(-1.0)
    total = 2 * p_null + p_read
    expected = [1 / 3 - p / total for p in (p_null, p_read)]
    assert score_BK.grad is not None
    assert unread_score_BU.grad is not None
    assert gold_logp_BKJ.grad is not None
    assert score_BK.grad[0].tolist() == pytest.approx(expected)
    assert unread_score_BU.grad[0].tolist() == pytest.approx([1 / 3 - p_null / total, 0.0])
    assert gold_logp_BKJ.grad.flatten().tolist() == pytest.approx([-p_null / total, -p_read / total])
    assert reading.detach().unread_score_BU is not None


def test_the_share_of_others_changes_linearly() -> None:
    assert [share_between(0.25, 0.75, done) for done in (0.0, 0.5, 1.0, 1.5)] == [0.25, 0.5, 0.75, 0.75]
    assert share_between(0.25, None, 0.5) == 0.25
