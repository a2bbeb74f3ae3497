"""What is logged, against loops; and held-out measures that do not depend on how queries are batched."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from openrealm.config import Config, MaskingConfig
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.model.realm import Realm
from openrealm.train.embedder import embed_corpus
from openrealm.train.examples import MaskedExamples, contains
from openrealm.train.joint import Reading
from openrealm.train.layout import NULL, Layout
from openrealm.train.measure import of_reading, on_heldout


def make_reading() -> Reading:
    torch.manual_seed(4)
    valid_BK = torch.tensor([[True, True, True], [True, True, False]])
    candidates = [[NULL, 5, 7], [NULL, 7]]
    mask_BJ = torch.tensor([[True, True], [True, False]])
    return Reading(torch.randn(2, 3), -torch.rand(2, 3, 2), mask_BJ, valid_BK, candidates, 0)


def test_means_of_a_reading_are_those_of_loops() -> None:
    reading = make_reading()
    row = of_reading(reading, per_token=False)
    sums = dict.fromkeys(("loss", "null_loss", "retrieval_utility", "best_utility", "null_mass", "entropy"), 0.0)
    for b, candidates in enumerate(reading.candidates):
        weights = [math.exp(reading.score_BK[b, k]) for k in range(len(candidates))]
        p = [w / sum(weights) for w in weights]
        logp = [sum(reading.gold_logp_BKJ[b, k][reading.mask_BJ[b]].tolist()) for k in range(len(candidates))]
        utility = [value - logp[0] for value in logp]
        sums["loss"] -= math.log(sum(a * math.exp(c) for a, c in zip(p, logp, strict=True)))
        sums["null_loss"] -= logp[0]
        sums["retrieval_utility"] += sum(a * u for a, u in zip(p[1:], utility[1:], strict=True)) / sum(p[1:])
        sums["best_utility"] += max(utility)
        sums["null_mass"] += p[0]
        sums["entropy"] -= sum(a * math.log(a) for a in p)
    for key, value in sums.items():
        assert row[key] == pytest.approx(value / 2, rel=1e-5), key
    assert row["num_distinct_passages"] == 2


def test_without_a_null_passage_nothing_is_compared_with_it() -> None:
    row = of_reading(make_reading(), per_token=True, has_null=False)
    assert set(row) == {"loss", "entropy", "num_distinct_passages"}


def test_heldout_measures_are_means_over_queries_whatever_the_batches(
    toy_realm: Callable[..., Realm],
    toy_config: Callable[..., Config],
    toy_corpus: Corpus,
    layout: Layout,
    engine: Engine,
) -> None:
    model = toy_realm().train()
    vector_ND = embed_corpus(model.retriever.passage_tower, layout, engine)
    model.train()
    group_N = torch.tensor([toy_corpus.group(i) for i in range(toy_corpus.num_passages)])
    examples = MaskedExamples(toy_corpus, MaskingConfig(), 30, 19, 0).heldout
    config = toy_config().pretrain
    whole, readings = on_heldout(model, layout, vector_ND, group_N, examples, config, engine)
    assert model.training, "the mode is put back"
    assert [len(reading.candidates) for reading in readings] == [16, 3]
    alone = [on_heldout(model, layout, vector_ND, group_N, [e], config, engine)[0] for e in examples]
    for key in whole:
        if key != "num_distinct_passages":
            assert whole[key] == pytest.approx(sum(float(row[key]) for row in alone) / 19, rel=1e-4, abs=1e-6), key
    passages = {p for reading in readings for row in reading.candidates for p in row if p != NULL}
    assert whole["num_distinct_passages"] == len(passages)
    model.eval()
    with torch.no_grad():
        query_BD = model.retriever.encode_query([layout.query(e.query, config.max_query_tokens) for e in examples])
    for k in (5, 20):
        hits = 0
        for b, example in enumerate(examples):
            order = [
                p
                for p in (vector_ND @ query_BD[b]).argsort(descending=True).tolist()
                if toy_corpus.group(p) != toy_corpus.group(example.passage)
            ]
            hits += any(contains(layout.body(p), example.gold) for p in order[:k])
        assert whole[f"recall@{k}"] == pytest.approx(hits / 19)
    assert whole["recall"] == whole["recall@5"]
