"""Rows of unequal length, and a tiny model in float64 for exact comparisons."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from openrealm.model.realm import Realm
from openrealm.text.pack import Row, Specials, pack_joint


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Small matrices only."""


@pytest.fixture(scope="session")
def realm_in_float64(toy_realm: Callable[..., Realm]) -> Realm:
    """Evaluation mode, so that results are deterministic."""
    return toy_realm("model.dropout=0").double().eval()


@pytest.fixture(scope="session")
def ragged_rows() -> list[Row]:
    """Forty joint rows of 5 to 60 tokens in random order, which make more than one chunk of 32."""
    rng = np.random.default_rng(3)
    specials = Specials(cls=2, sep=3, mask=4, pad=0)
    rows = []
    for _ in range(40):
        query, body = rng.integers(5, 300, rng.integers(1, 12)), rng.integers(5, 300, rng.integers(1, 45))
        rows.append(pack_joint(query, body, specials, 80)[0])
    return rows
