"""Contexts of masked words, the initial bias of the head, and training of both objectives."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from openrealm.config import Config, MaskingConfig
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.model.realm import Realm
from openrealm.train.examples import MaskedExamples
from openrealm.train.tasks.warm_start import ContextChooser, WarmStart, masked_word_loss, start_from_unigrams
from openrealm.train.trainer import Trainer
from openrealm.types import NULL


@torch.no_grad()
def test_masked_words_are_read_with_the_given_passage(toy_realm: Callable[..., Realm], toy_corpus: Corpus) -> None:
    model = toy_realm().eval()
    batch = MaskedExamples(toy_corpus, MaskingConfig(), 30, 8, 0).batch(0, 5)
    contexts = [batch[0].passage, NULL, 7, batch[3].passage, NULL]
    loss = masked_word_loss(model, toy_corpus, batch, contexts, 80)
    logps: list[float] = []
    for example, passage in zip(batch, contexts, strict=True):
        row, start = toy_corpus.joint_row(example.query, passage, 80)
        assert row.ids[start:-1].tolist() == toy_corpus.body(passage).tolist()
        places = [place + 1 for place in example.positions]
        logps += model.reader.gold_log_prob([row], [places], [list(example.gold)])[0].tolist()
    assert float(loss) == pytest.approx(-sum(logps) / len(logps), rel=1e-5)


def test_own_related_and_null_passages_occur_at_their_rates(
    toy_config: Callable[..., Config], toy_corpus: Corpus
) -> None:
    settings = toy_config("warm_start.passage_rate=0.5", "warm_start.related_rate=0.3").warm_start
    examples = MaskedExamples(toy_corpus, MaskingConfig(), 30, 8, 0).batch(0, 40)
    chooser, rng = ContextChooser(toy_corpus, settings), np.random.default_rng(0)
    counts = dict.fromkeys(("own", "null", "related"), 0)
    sharing = 0
    for _ in range(20):
        for example, passage in zip(examples, chooser.choose(examples, rng.random((len(examples), 2))), strict=True):
            if passage in (example.passage, NULL):
                counts["own" if passage == example.passage else "null"] += 1
                continue
            counts["related"] += 1
            assert toy_corpus.group(passage) != toy_corpus.group(example.passage), "near-duplicates are excluded too"
            words = set(example.original.tolist()) - set(toy_corpus.body_tokens(0).tolist())
            sharing += bool(words & set(toy_corpus.body_tokens(passage).tolist()))
    total = sum(counts.values())
    assert counts["own"] / total == pytest.approx(0.5, abs=0.06)
    assert counts["related"] / total == pytest.approx(0.3, abs=0.06)
    assert sharing > 0.5 * counts["related"], "related passages share words beyond the common ones"


def test_related_passages_can_be_turned_off(toy_config: Callable[..., Config], toy_corpus: Corpus) -> None:
    settings = toy_config("warm_start.passage_rate=0.5", "warm_start.related_rate=0").warm_start
    examples = MaskedExamples(toy_corpus, MaskingConfig(), 30, 8, 0).batch(0, 40)
    chosen = ContextChooser(toy_corpus, settings).choose(examples, np.random.default_rng(0).random((len(examples), 2)))
    kinds = {passage == example.passage for example, passage in zip(examples, chosen, strict=True) if passage != NULL}
    assert kinds == {True}
    assert NULL in chosen


def test_the_heads_bias_is_initialised_with_the_frequencies_of_the_corpus(
    toy_realm: Callable[..., Realm], toy_corpus: Corpus
) -> None:
    model = toy_realm()
    start_from_unigrams(model, toy_corpus)
    counts = Counter(token for i in range(len(toy_corpus)) for token in toy_corpus.body_tokens(i).tolist())
    total = sum(counts.values()) + 0.5 * toy_corpus.tokenizer().vocab_size
    bias = model.reader.head.bias.tolist()
    assert bias == pytest.approx([math.log((counts[v] + 0.5) / total) for v in range(len(bias))], rel=1e-5)


def trained(config: Config, model: Realm, corpus: Corpus, engine: Engine, folder: Path) -> dict[str, float]:
    """Train in `folder`; returns the recent means of losses and accuracy."""
    trainer = Trainer(model, WarmStart(corpus, config=config), folder, engine=engine, seed=config.seed)
    recent = trainer.train().recent
    return {name: value for name, value in recent.items() if name.startswith(("ict", "mlm"))}


def rows_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("shared", [True, False])
def test_both_losses_decrease_and_recent_means_are_of_the_last_steps(
    tmp_path: Path,
    toy_realm: Callable[..., Realm],
    toy_config: Callable[..., Config],
    toy_corpus: Corpus,
    engine: Engine,
    shared: bool,
) -> None:
    changes = [f"model.shared_towers={shared}", "model.dropout=0", "model.pooling=mean", "model.normalize=true"]
    changes += ["model.temperature=0.1", "warm_start.num_steps=50", "warm_start.ict_neighbours=2"]
    config, model = toy_config(*changes), toy_realm(*changes)
    means = trained(config, model, toy_corpus, engine, tmp_path)
    rows = rows_of(tmp_path)
    assert [row["step"] for row in rows] == list(range(1, 51))
    # Most masked names occur only once in the toy corpus, so the reader cannot learn much.
    for key, share in (("ict_loss", 0.7), ("mlm_loss", 0.98)):
        first, last = (sum(row[key] for row in part) / 10 for part in (rows[:10], rows[-10:]))
        assert last < share * first, key
        assert means[key] == pytest.approx(sum(row[key] for row in rows[-20:]) / 20, abs=1e-4)
    assert 0 <= means["ict_accuracy"] <= 1
    assert not model.training


@pytest.mark.parametrize(("off", "left"), [("ict_batch", {"mlm_loss"}), ("mlm_batch", {"ict_loss", "ict_accuracy"})])
def test_either_objective_can_be_turned_off(
    tmp_path: Path,
    toy_realm: Callable[..., Realm],
    toy_config: Callable[..., Config],
    toy_corpus: Corpus,
    engine: Engine,
    off: str,
    left: set[str],
) -> None:
    model = toy_realm()
    towers = model.retriever.query_tower.digest()
    means = trained(toy_config(f"warm_start.{off}=0"), model, toy_corpus, engine, tmp_path)
    assert set(means) == left
    assert (model.retriever.query_tower.digest() == towers) == (off == "ict_batch")


def test_weights_depend_on_the_seed_only(
    tmp_path: Path,
    toy_realm: Callable[..., Realm],
    toy_config: Callable[..., Config],
    toy_corpus: Corpus,
    engine: Engine,
) -> None:
    results = []
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        model = toy_realm()
        trained(toy_config(f"seed={seed}"), model, toy_corpus, engine, tmp_path / name)
        results.append(model.state_dict())
    assert all(torch.equal(tensor, results[1][name]) for name, tensor in results[0].items())
    assert not all(torch.equal(tensor, results[2][name]) for name, tensor in results[0].items())


def test_starting_over_deletes_earlier_metrics(
    tmp_path: Path,
    toy_realm: Callable[..., Realm],
    toy_config: Callable[..., Config],
    toy_corpus: Corpus,
    engine: Engine,
) -> None:
    for _ in range(2):
        trained(toy_config("warm_start.num_steps=2"), toy_realm(), toy_corpus, engine, tmp_path)
        assert [row["step"] for row in rows_of(tmp_path)] == [1, 2]
