"""What a reading tells of the retriever: utility, null mass, entropy, distinct passages, recall (spec Sec. 5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from openrealm.config import PretrainConfig
from openrealm.engine import Engine
from openrealm.index.exact import search_unblocked
from openrealm.model import marginal
from openrealm.model.realm import Realm
from openrealm.train.examples import Example, contains
from openrealm.train.joint import Reading, encode_queries, find_candidates, joint_reading
from openrealm.train.layout import NULL, Layout

Row = dict[str, float | int | str]
_RECALL_AT = (5, 20)


def of_reading(reading: Reading, *, per_token: bool, has_null: bool = True) -> Row:
    """Means over the queries of a reading, in nats. What compares with the null passage needs it as column 0.

    With a sampled tail these estimate what the whole corpus would give, but for `best_utility`: the best that was read.
    """
    score_BK, gold_BKJ, mask_BJ = reading.score_BK.detach(), reading.gold_logp_BKJ.detach(), reading.mask_BJ
    logp_BK = marginal.retrieval_log_prob(score_BK, reading.valid_BK)
    prob_BK = logp_BK.exp()
    # A weighted candidate stands for several passages, each as likely as it is without the weight.
    each_BK = logp_BK if reading.log_weight_BK is None else logp_BK - reading.log_weight_BK
    entropy_B = -(prob_BK * each_BK.masked_fill(~reading.valid_BK, 0.0)).sum(dim=1)
    likelihood_B = marginal.marginal_log_likelihood(
        score_BK, gold_BKJ, mask_BJ, valid_BK=reading.valid_BK, per_token=per_token
    )
    row: Row = {
        "loss": -float(likelihood_B.mean()),
        "entropy": float(entropy_B.mean()),
        "num_distinct_passages": len({p for row in reading.candidates for p in row if p != NULL}),
    }
    if has_null:
        utility_BK = marginal.utility_BK(gold_BKJ, mask_BJ).masked_fill(~reading.valid_BK, -torch.inf)
        row |= {
            "null_loss": -float(marginal.reading_log_likelihood(gold_BKJ, mask_BJ)[:, 0].mean()),
            "retrieval_utility": float(marginal.expected_utility(score_BK, gold_BKJ, mask_BJ, reading.valid_BK).mean()),
            "best_utility": float(utility_BK.amax(dim=1).mean()),
            "null_mass": float(prob_BK[:, 0].mean()),
        }
    return row


def of_readings(readings: Sequence[Reading], *, per_token: bool, has_null: bool = True) -> Row:
    """`of_reading` of all their queries together."""
    weights = [len(r.candidates) for r in readings]
    rows = [of_reading(r, per_token=per_token, has_null=has_null) for r in readings]
    row: Row = {
        key: sum(float(r[key]) * w for r, w in zip(rows, weights, strict=True)) / sum(weights) for key in rows[0]
    }
    return row | {"num_distinct_passages": len({p for r in readings for c in r.candidates for p in c if p != NULL})}


@torch.inference_mode()
def on_heldout(
    model: Realm,
    layout: Layout,
    vector_ND: Tensor,
    group_N: Tensor,
    examples: Sequence[Example],
    config: PretrainConfig,
    engine: Engine,
) -> tuple[Row, list[Reading]]:
    """Measures on held-out queries with the current index and live towers, and the readings, 16 queries each.

    Always the plain top `config.num_candidates` with the null passage, whatever training reads: runs stay comparable.
    """
    was_training = model.training
    model.eval()
    readings: list[Reading] = []
    query_parts: list[Tensor] = []
    for start in range(0, len(examples), 16):
        part = examples[start : start + 16]
        with engine.autocast():
            query_BD = encode_queries(model, layout, part, config.max_query_tokens)
            candidates = find_candidates(
                vector_ND,
                group_N,
                query_BD,
                part,
                config.num_candidates,
                use_null=True,
                block_trivial=config.block_trivial,
            )
            reading = joint_reading(model, layout, part, query_BD, candidates, config.max_joint_tokens)
        readings.append(reading)
        query_parts.append(query_BD.float().cpu())
    model.train(was_training)
    row = of_readings(readings, per_token=config.per_token_marginal)
    row |= _recall(layout, vector_ND, group_N, torch.cat(query_parts), examples)
    row["recall"] = row["recall@5"]
    return row, readings


def _recall(layout: Layout, vector_ND: Tensor, group_N: Tensor, query_BD: Tensor, examples: Sequence[Example]) -> Row:
    """Share of queries whose answer's word pieces occur in the top k passages, trivial ones blocked."""
    blocked = [set(e.blocked) for e in examples]
    found = search_unblocked(vector_ND, query_BD, max(_RECALL_AT), group_N, blocked)
    hits = [
        [contains(layout.body(passage), example.gold) for passage in row]
        for example, row in zip(examples, found, strict=True)
    ]
    return {f"recall@{k}": sum(any(row[:k]) for row in hits) / len(hits) for k in _RECALL_AT}
