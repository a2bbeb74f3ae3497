"""The losses of the towers that are on: their names, and what they train."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.model.realm import Realm
from openrealm.train.in_batch import InBatchLosses
from openrealm.train.optimizer import grad_norm


@pytest.mark.parametrize("names", [(), ("ict",), ("recurring",), ("ict", "recurring")])
def test_the_losses_that_are_on_train_both_towers_and_not_the_reader(
    names: tuple[str, ...],
    toy_realm: Callable[..., Realm],
    toy_config: Callable[..., Config],
    toy_corpus: Corpus,
    engine: Engine,
) -> None:
    model, log = toy_realm("model.dropout=0"), dict[str, Any]()
    sizes = {f"{name}_batch": 6 if name in names else 0 for name in ("ict", "recurring")}
    losses = InBatchLosses(toy_config(), toy_corpus, **sizes)
    batch = losses.batch(3)
    assert {name: len(pairs) for name, pairs in batch.items()} == dict.fromkeys(names, 6)
    values = []
    for loss in losses.losses(model, batch, engine, log):
        loss.backward()  # type: ignore[no-untyped-call]
        values.append(float(loss.detach()))
    assert values == [log[f"{name}_loss"] for name in names]
    assert set(log) == {f"{name}_{what}" for name in names for what in ("loss", "accuracy")}
    for tower in (model.retriever.query_tower, model.retriever.passage_tower):
        assert (grad_norm(tower) > 0) == bool(names)
    assert grad_norm(model.reader) == 0
