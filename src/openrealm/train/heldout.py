"""Metrics of the retriever: utility (Guu et al. 2020, Sec. 4.4), null mass, entropy, distinct passages, recall."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from openrealm.config import PretrainConfig
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.index.index import Index
from openrealm.model.reading import Reading
from openrealm.model.realm import Realm
from openrealm.train.candidates import find_candidates, pack_candidates, query_rows
from openrealm.train.examples import Example, contains
from openrealm.train.task import Row
from openrealm.types import NULL

_RECALL_AT = (5, 20)
_QUERIES_AT_ONCE = 16


def reading_metrics(reading: Reading) -> Row:
    """Metrics of a reading, means over its queries; losses, utilities and entropy in nats.

    Metrics that compare with the null passage are omitted if it is not column 0. With a sampled tail all of them
    estimate the value for the whole corpus, except `best_utility`, which is that of the best passage read.
    """
    reading = reading.detach()
    row: Row = {"loss": float(reading.marginal_loss().mean()), "entropy": float(reading.entropy().mean())}
    if reading.has_null:
        read_BK = reading.gold_logp_BKJ.masked_fill(~reading.mask_BJ[:, None, :], 0.0).sum(dim=2)
        utility_BK = reading.utility_BK().masked_fill(~reading.valid_BK, -torch.inf)
        row |= {
            "null_loss": -float(read_BK[:, 0].mean()),
            "retrieval_utility": float(reading.expected_utility().mean()),
            "best_utility": float(utility_BK.amax(dim=1).mean()),
            "null_mass": float(reading.retrieval_log_prob()[:, 0].exp().mean()),
        }
    return row


def metrics_of(readings: Sequence[Reading]) -> Row:
    """`reading_metrics` over the queries of several readings, and the number of distinct passages in all of them."""
    weights = [len(reading.score_BK) for reading in readings]
    rows = [reading_metrics(reading) for reading in readings]
    row: Row = {
        key: sum(float(r[key]) * w for r, w in zip(rows, weights, strict=True)) / sum(weights) for key in rows[0]
    }
    distinct = {passage for reading in readings for passages in reading.candidates for passage in passages}
    return row | {"num_distinct_passages": len(distinct - {NULL})}


@torch.inference_mode()
def evaluate_heldout(
    model: Realm, corpus: Corpus, index: Index, examples: Sequence[Example], settings: PretrainConfig, engine: Engine
) -> tuple[Row, list[Reading]]:
    """Metrics on held-out queries with the current index and live towers, and their readings, 16 queries each.

    Candidates are always the top `settings.num_candidates` including the null passage, whatever is read in training, so
    that runs can be compared. The model's training mode is restored.
    """
    was_training = model.training
    model.eval()
    readings: list[Reading] = []
    query_parts: list[Tensor] = []
    for start in range(0, len(examples), _QUERIES_AT_ONCE):
        part = examples[start : start + _QUERIES_AT_ONCE]
        with engine.autocast():
            query_BD = model.retriever.encode_query(query_rows(corpus, part, settings.max_query_tokens))
            candidates = find_candidates(
                index, query_BD, part, settings.num_candidates, block_trivial=settings.block_trivial
            )
            inputs = pack_candidates(corpus, part, candidates, settings, with_title=model.config.title_in_joint)
            readings.append(model(inputs, query_BD))
        query_parts.append(query_BD.float().cpu())
    model.train(was_training)
    row = metrics_of(readings) | _hubs(readings) | _utility_by_kind(readings, examples)
    row |= _recall(corpus, index, torch.cat(query_parts), examples)
    row["recall"] = row["recall@5"]
    return row, readings


@torch.inference_mode()
def retrieve_heldout(
    model: Realm, corpus: Corpus, index: Index, examples: Sequence[Example], settings: PretrainConfig, engine: Engine
) -> tuple[list[list[int]], list[list[float]]]:
    """The candidates of held-out queries, and p(z|x) by the vectors of the index; nothing is read.

    These are the candidates that `evaluate_heldout` would read, at a small part of its cost, and the probabilities are
    those at the time when the index was built. The model's training mode is restored.
    """
    was_training = model.training
    model.eval()
    candidates: list[list[int]] = []
    probability: list[list[float]] = []
    with engine.autocast():
        null_1D = model.retriever.encode_passage([corpus.passage_row(NULL)]).float().cpu()
    for start in range(0, len(examples), _QUERIES_AT_ONCE):
        part = examples[start : start + _QUERIES_AT_ONCE]
        with engine.autocast():
            query_BD = model.retriever.encode_query(query_rows(corpus, part, settings.max_query_tokens))
        found = find_candidates(index, query_BD, part, settings.num_candidates, block_trivial=settings.block_trivial)
        for query_D, row in zip(query_BD.float().cpu(), found, strict=True):
            vector_KD = torch.cat([null_1D, index.vectors(torch.tensor(row[1:], dtype=torch.long))])
            probability.append((vector_KD @ query_D).softmax(dim=0).tolist())
        candidates += found
    model.train(was_training)
    return candidates, probability


def _hubs(readings: Sequence[Reading]) -> Row:
    """The share of queries that have the passage that is a candidate of most of them."""
    rows = [set(row) - {NULL} for reading in readings for row in reading.candidates]
    counts = Counter(passage for row in rows for passage in row)
    return {"hub_share": max(counts.values(), default=0) / len(rows)}


def _utility_by_kind(readings: Sequence[Reading], examples: Sequence[Example]) -> Row:
    """Mean retrieval utility by kind of the masked span, such as "retrieval_utility/date"; needs the null passage."""
    if not all(reading.has_null for reading in readings):
        return {}
    utilities: dict[str, list[float]] = {}
    values = [value for reading in readings for value in reading.expected_utility().tolist()]
    for example, value in zip(examples, values, strict=True):
        utilities.setdefault(example.kind, []).append(value)
    return {f"retrieval_utility/{kind}": sum(of) / len(of) for kind, of in sorted(utilities.items())}


def _recall(corpus: Corpus, index: Index, query_BD: Tensor, examples: Sequence[Example]) -> Row:
    """Share of queries whose answer occurs, as word pieces, in the top k passages that are not trivial."""
    found = index.search(query_BD, max(_RECALL_AT), exclude=[e.blocked for e in examples]).passages()
    hits = [
        [contains(corpus.body(passage), example.gold) for passage in row]
        for example, row in zip(examples, found, strict=True)
    ]
    return {f"recall@{k}": sum(any(row[:k]) for row in hits) / len(hits) for k in _RECALL_AT}
