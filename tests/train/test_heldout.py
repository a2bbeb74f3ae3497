"""Logged metrics compared with loops, and held-out metrics that do not depend on batches."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch

from openrealm.config import Config, MaskingConfig
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.index.index import Index
from openrealm.model.reading import Reading
from openrealm.model.realm import Realm
from openrealm.train.examples import MaskedExamples, contains
from openrealm.train.heldout import evaluate_heldout, metrics_of, retrieve_heldout
from openrealm.types import NULL


def make_reading() -> Reading:
    torch.manual_seed(4)
    valid_BK = torch.tensor([[True, True, True], [True, True, False]])
    candidates = [[NULL, 5, 7], [NULL, 7]]
    mask_BJ = torch.tensor([[True, True], [True, False]])
    return Reading(
        score_BK=torch.randn(2, 3),
        gold_logp_BKJ=-torch.rand(2, 3, 2),
        mask_BJ=mask_BJ,
        valid_BK=valid_BK,
        candidates=candidates,
    )


def test_metrics_of_a_reading_agree_with_loops() -> None:
    reading = make_reading()
    row = metrics_of([reading])
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


def test_without_a_null_passage_metrics_relative_to_it_are_omitted() -> None:
    row = metrics_of([dataclasses.replace(make_reading(), per_token=True, has_null=False)])
    assert set(row) == {"loss", "entropy", "num_distinct_passages"}


def test_heldout_metrics_are_means_over_queries_independently_of_batches(
    toy_realm: Callable[..., Realm],
    toy_config: Callable[..., Config],
    toy_corpus: Corpus,
    engine: Engine,
) -> None:
    model = toy_realm().train()
    index = Index.build(model, toy_corpus, engine=engine)
    assert model.training, "building an index restores the mode"
    examples = MaskedExamples(toy_corpus, MaskingConfig(), 30, 19, 0).heldout
    config = toy_config().pretrain
    whole, readings = evaluate_heldout(model, toy_corpus, index, examples, config, engine)
    assert model.training, "the mode is restored"
    assert [len(reading.candidates) for reading in readings] == [16, 3]
    alone = [evaluate_heldout(model, toy_corpus, index, [e], config, engine)[0] for e in examples]
    of_all = {"num_distinct_passages", "hub_share", *(key for key in whole if "/" in key)}
    for key in whole:
        if key not in of_all:
            assert whole[key] == pytest.approx(sum(float(row[key]) for row in alone) / 19, rel=1e-4, abs=1e-6), key
    passages = {p for reading in readings for row in reading.candidates for p in row if p != NULL}
    assert whole["num_distinct_passages"] == len(passages)
    rows = [row for reading in readings for row in reading.candidates]
    assert whole["hub_share"] == max(sum(p in row for row in rows) for p in passages) / 19
    for kind in {example.kind for example in examples}:
        of_kind = [float(row["retrieval_utility"]) for e, row in zip(examples, alone, strict=True) if e.kind == kind]
        assert whole[f"retrieval_utility/{kind}"] == pytest.approx(sum(of_kind) / len(of_kind), rel=1e-4, abs=1e-6)
    model.eval()
    with torch.no_grad():
        query_BD = model.retriever.encode_query(
            [toy_corpus.query_row(e.query, config.max_query_tokens) for e in examples]
        )
    for k in (5, 20):
        hits = 0
        for b, example in enumerate(examples):
            order = [
                p
                for p in (index.vector_ND @ query_BD[b]).argsort(descending=True).tolist()
                if toy_corpus.group(p) != toy_corpus.group(example.passage)
            ]
            hits += any(contains(toy_corpus.body(p), example.gold) for p in order[:k])
        assert whole[f"recall@{k}"] == pytest.approx(hits / 19)
    assert whole["recall"] == whole["recall@5"]


def test_retrieval_alone_finds_what_an_evaluation_reads_with_the_same_probabilities(
    toy_realm: Callable[..., Realm], toy_config: Callable[..., Config], toy_corpus: Corpus, engine: Engine
) -> None:
    model = toy_realm().train()
    index = Index.build(model, toy_corpus, engine=engine)
    examples = MaskedExamples(toy_corpus, MaskingConfig(), 30, 19, 0).heldout
    config = toy_config().pretrain
    _, readings = evaluate_heldout(model, toy_corpus, index, examples, config, engine)
    state = torch.get_rng_state()
    candidates, probability = retrieve_heldout(model, toy_corpus, index, examples, config, engine)
    assert model.training, "the mode is restored"
    assert torch.equal(torch.get_rng_state(), state), "training is not affected"
    assert candidates == [list(row) for reading in readings for row in reading.candidates]
    expected = [row for reading in readings for row in reading.retrieval_log_prob().exp().tolist()]
    for found, read in zip(probability, expected, strict=True):
        assert found == pytest.approx(read[: len(found)], abs=1e-5)
