"""One joint reading against the same numbers made one query, one passage, one mask at a time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from openrealm.config import MaskingConfig
from openrealm.corpus.corpus import Corpus
from openrealm.model.realm import Realm
from openrealm.train.examples import Example, MaskedExamples
from openrealm.train.joint import encode_queries, find_candidates, joint_reading, read, score_candidates
from openrealm.train.layout import NULL, Layout


@pytest.fixture(scope="module")
def model(toy_realm: Callable[..., Realm]) -> Realm:
    return toy_realm("model.dropout=0", "model.temperature=0.5").double().eval()


@pytest.fixture(scope="module")
def examples(toy_corpus: Corpus) -> list[Example]:
    return MaskedExamples(toy_corpus, MaskingConfig(), 30, 8, 0).batch(0, 6)


@pytest.mark.parametrize("use_null", [True, False])
@pytest.mark.parametrize("block", [True, False])
def test_candidates_are_the_best_of_the_index_null_first_without_the_querys_own(
    toy_corpus: Corpus, examples: list[Example], use_null: bool, block: bool
) -> None:
    torch.manual_seed(0)
    group_N = torch.tensor([toy_corpus.group(i) for i in range(toy_corpus.num_passages)])
    vector_ND, query_BD = torch.randn(len(group_N), 4), torch.randn(len(examples), 4)
    # Each query's own passage scores best of all.
    for b, example in enumerate(examples):
        vector_ND[example.passage] = 100 * query_BD[b]
    found = find_candidates(vector_ND, group_N, query_BD.double(), examples, 5, use_null=use_null, block_trivial=block)
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


@torch.no_grad()
def test_scores_are_inner_products_of_the_live_towers(model: Realm, layout: Layout, examples: list[Example]) -> None:
    query_BD = encode_queries(model, layout, examples, 32)
    score_BK, valid_BK = score_candidates(model, layout, query_BD, CANDIDATES)
    assert score_BK.shape == valid_BK.shape == (6, 4)
    for b, (example, row) in enumerate(zip(examples, CANDIDATES, strict=True)):
        assert valid_BK[b].tolist() == [True] * len(row) + [False] * (4 - len(row))
        query_D = model.retriever.query_tower([layout.query(example.query, 32)])[0] / 0.5
        for k, passage in enumerate(row):
            passage_D = model.retriever.passage_tower([layout.passage(passage)])[0]
            assert float(score_BK[b, k]) == pytest.approx(float(query_D @ passage_D), rel=1e-9, abs=1e-12)


@torch.no_grad()
def test_readings_are_those_of_each_pair_alone(model: Realm, layout: Layout, examples: list[Example]) -> None:
    gold_logp_BKJ, mask_BJ, num_tokens = read(model, layout, examples, CANDIDATES, 80)
    assert mask_BJ.tolist() == [
        [j < len(e.positions) for j in range(max(len(e.positions) for e in examples))] for e in examples
    ]
    total = 0
    for b, (example, row) in enumerate(zip(examples, CANDIDATES, strict=True)):
        for k, passage in enumerate(row):
            joint, _ = layout.joint(example.query, passage, 80)
            total += len(joint)
            places = [place + 1 for place in example.positions]
            assert joint.ids[places].tolist() == [layout.specials.mask] * len(places)
            alone_1J = model.reader.gold_log_prob([joint], [places], [list(example.gold)])
            got_J = gold_logp_BKJ[b, k, : len(places)]
            torch.testing.assert_close(got_J, alone_1J[0], rtol=1e-9, atol=1e-9)
    assert num_tokens == total


def test_a_reading_counts_every_token_that_towers_and_reader_saw(
    model: Realm, layout: Layout, examples: list[Example]
) -> None:
    query_BD = encode_queries(model, layout, examples, 32)
    reading = joint_reading(model, layout, examples, query_BD, CANDIDATES, 80)
    pairs = [(e, p) for e, row in zip(examples, CANDIDATES, strict=True) for p in row]
    expected = sum(len(layout.joint(e.query, p, 80)[0]) for e, p in pairs)
    expected += sum(len(layout.passage(p)) for p in {p for _, p in pairs})
    expected += sum(len(layout.query(e.query, 32)) for e in examples)
    assert reading.num_tokens == expected
    assert reading.score_BK.requires_grad
    assert reading.gold_logp_BKJ.requires_grad
