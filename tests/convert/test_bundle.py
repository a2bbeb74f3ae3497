from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openrealm.convert.bundle import read_bundle
from openrealm.errors import BadInput

NAMES = st.text("abc/_0é", min_size=1, max_size=30)
SHAPES = st.lists(st.integers(0, 4), max_size=3)
TYPES = st.sampled_from(["float32", "float64", "int32", "int64"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, st.tuples(SHAPES, TYPES), max_size=40), st.integers(1, 9), st.booleans())
def test_all_tensors_are_read_back(
    tmp_path: Path, bundle_writer: Callable[..., Path], wanted: dict[str, tuple[list[int], str]], per: int, snappy: bool
) -> None:
    rng = np.random.default_rng(0)
    arrays = {name: (rng.normal(size=shape) * 100).astype(kind) for name, (shape, kind) in wanted.items()}
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    found = read_bundle(bundle_writer(tmp_path / "model.ckpt", arrays, snappy=snappy, per_block=per))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@pytest.fixture
def index(tmp_path: Path, bundle_writer: Callable[..., Path]) -> Path:
    arrays = {f"layer_{i}/kernel": np.full((3, i + 1), i, np.float32) for i in range(20)}
    return bundle_writer(tmp_path / "model.ckpt", arrays, snappy=False)


def test_any_damaged_byte_of_a_block_is_detected(index: Path) -> None:
    whole = index.read_bytes()
    for place in range(0, len(whole) - 48, 11):
        index.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(BadInput, match=r"model\.ckpt\.index is damaged"):
            read_bundle(index)


def test_truncated_and_missing_files_are_refused(index: Path) -> None:
    whole = index.read_bytes()
    for length in (0, 40, len(whole) - 1):
        index.write_bytes(whole[:length])
        with pytest.raises(BadInput, match="truncated"):
            read_bundle(index)
    index.write_bytes(whole)
    data = index.with_name("model.ckpt.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(BadInput, match="is missing or truncated: layer_9/kernel"):
        read_bundle(index)
    data.unlink()
    with pytest.raises(BadInput, match="is missing or truncated"):
        read_bundle(index)
