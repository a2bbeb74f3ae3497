"""The masked-token reader: log-probabilities in chunks agree with those of each row alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from openrealm.model.realm import Realm
from openrealm.text.pack import Row


def masks_of(rows: list[Row]) -> tuple[list[list[int]], list[list[int]]]:
    """One to four positions of masks per row, and a token for each."""
    rng = np.random.default_rng(5)
    places = [sorted(rng.permutation(np.arange(1, len(row) - 1))[: 1 + n % 4].tolist()) for n, row in enumerate(rows)]
    return places, [rng.integers(5, 300, len(row)).tolist() for row in places]


@torch.no_grad()
def test_log_probabilities_are_the_log_softmax_at_each_mask(realm_in_float64: Realm, ragged_rows: list[Row]) -> None:
    reader = realm_in_float64.reader
    places, gold = masks_of(ragged_rows)
    logp_nJ = reader.gold_log_prob(ragged_rows, places, gold)
    assert logp_nJ.shape == (40, max(map(len, places)))
    table_VH = reader.encoder.word_embeddings()
    for n, row in enumerate(ragged_rows):
        [(_, hidden_1TH, _)] = reader.encoder.chunks([row])
        for j, (place, token) in enumerate(zip(places[n], gold[n], strict=True)):
            h = reader.head.norm(torch.nn.functional.gelu(reader.head.dense(hidden_1TH[0, place])))
            logit_V = table_VH @ h + reader.head.bias
            expected = logit_V[token] - logit_V.exp().sum().log()
            assert float(logp_nJ[n, j]) == pytest.approx(float(expected), rel=1e-9)
        assert logp_nJ[n, len(places[n]) :].tolist() == [0.0] * (logp_nJ.shape[1] - len(places[n]))


@torch.no_grad()
def test_the_log_probabilities_of_all_tokens_at_a_mask_sum_to_one(realm_in_float64: Realm) -> None:
    row = Row(np.array([2, 10, 4, 11, 3, 12, 3]), 5)
    vocab_size = realm_in_float64.tokenizer.vocab_size
    logp_V1 = realm_in_float64.reader.gold_log_prob(
        [row] * vocab_size, [[2]] * vocab_size, [[v] for v in range(vocab_size)]
    )
    assert float(logp_V1.exp().sum()) == pytest.approx(1, rel=1e-9)


def test_a_mask_gives_a_gradient_and_padding_gives_none(realm_in_float64: Realm, ragged_rows: list[Row]) -> None:
    reader = realm_in_float64.reader
    places, gold = masks_of(ragged_rows[:4])
    logp_nJ = reader.gold_log_prob(ragged_rows[:4], places, gold)
    (grad,) = torch.autograd.grad(logp_nJ[2, len(places[2]) - 1], reader.head.bias, retain_graph=True)
    assert float(grad[gold[2][-1]]) > 0
    (none,) = torch.autograd.grad(logp_nJ[0, len(places[0]) :].sum(), reader.head.bias)
    assert bool((none == 0).all())


@torch.no_grad()
def test_fill_chooses_the_likeliest_token_at_each_mask(realm_in_float64: Realm, ragged_rows: list[Row]) -> None:
    rows = [row for row in ragged_rows if len(row) > 6]
    places = [[1, 3] for _ in rows]
    ids_nJ, mean_n = realm_in_float64.reader.fill(rows, places)
    best_nJ = realm_in_float64.reader.gold_log_prob(rows, places, ids_nJ.tolist())
    torch.testing.assert_close(mean_n, best_nJ.mean(dim=1), rtol=1e-9, atol=1e-9)
    rng = np.random.default_rng(0)
    for _ in range(20):
        others = rng.integers(0, 300, ids_nJ.shape).tolist()
        assert bool((realm_in_float64.reader.gold_log_prob(rows, places, others) <= best_nJ + 1e-12).all())
