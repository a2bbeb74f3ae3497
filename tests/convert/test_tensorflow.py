"""Checkpoints under Google's names with random weights, as tensor bundles and as NumPy archives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from openrealm.convert import tensorflow
from openrealm.convert.assemble import assemble
from openrealm.errors import BadInput
from openrealm.model.realm import Realm
from openrealm.model.state import unique_state

Arrays = dict[str, npt.NDArray[Any]]


@pytest.fixture(params=["npz", "bundle", "snappy"])
def written(
    request: pytest.FixtureRequest, tmp_path: Path, bundle_writer: Callable[..., Path]
) -> Callable[[str, Arrays], Path]:
    """`written("name", arrays)` writes a checkpoint and returns the path that a user would give."""

    def write(name: str, arrays: Arrays) -> Path:
        if request.param == "npz":
            np.savez(tmp_path / f"{name}.npz", **arrays)  # type: ignore[arg-type]
            return tmp_path / f"{name}.npz"
        bundle_writer(tmp_path / f"{name}.ckpt-7", arrays, snappy=request.param == "snappy")
        return tmp_path / f"{name}.ckpt-7"

    return write


def test_two_checkpoints_make_one_model(
    released_realm: Realm, google_arrays: Callable[[str], Arrays], written: Callable[[str, Arrays], Path]
) -> None:
    paths = [written(stage, google_arrays(stage)) for stage in ("pretrained", "finetuned")]
    assert all(tensorflow.is_checkpoint(path) for path in paths)
    sources = [tensorflow.read(path, num_heads=2) for path in paths]
    back, _ = assemble(sources, released_realm.tokenizer)
    state, before = unique_state(back), unique_state(released_realm)
    assert state.keys() == before.keys()
    assert all(torch.equal(state[name], before[name]) for name in before)
    assert back.backbone_settings["hidden_act"] == "gelu_new"
    assert (back.config.norm_eps, back.config.span_norm_eps, back.max_span_tokens) == (1e-12, 1e-3, 10)


def test_the_vectors_of_the_passages_are_read(written: Callable[[str, Arrays], Path]) -> None:
    block = np.random.default_rng(0).normal(size=(9, 16)).astype(np.float32)
    source = tensorflow.read(written("encoded", {"block_emb": block}))
    assert source.block_ND is not None
    np.testing.assert_array_equal(source.block_ND.numpy(), block)


def test_tensors_that_do_not_fit_are_reported_under_their_names_in_the_checkpoint(
    released_realm: Realm, google_arrays: Callable[[str], Arrays], written: Callable[[str, Arrays], Path]
) -> None:
    arrays = google_arrays("pretrained")
    del arrays["bert/encoder/layer_0/output/dense/kernel"]
    arrays["cls/predictions/transform/dense/bias"] = np.zeros(5, np.float32)
    with pytest.raises(BadInput) as raised:
        assemble([tensorflow.read(written("bad", arrays), num_heads=2)], released_realm.tokenizer)
    assert "missing bert/encoder/layer_0/output/dense/kernel" in str(raised.value)
    assert "misshapen cls/predictions/transform/dense/bias (shape (5,), expected (32,))" in str(raised.value)
    with pytest.raises(BadInput, match=r"unknown bert/stranger, module/odd"):
        tensorflow.read(written("odd", arrays | {"bert/stranger": np.zeros(1), "module/odd": np.zeros(1)}))


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path, written: Callable[[str, Arrays], Path]) -> None:
    with pytest.raises(BadInput, match="contains no tensors of REALM"):
        tensorflow.read(written("other", {"global_step": np.array(3)}))


def test_an_archive_that_is_damaged_or_contains_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", words=np.array([b"a", None], dtype=object))
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04" + b"\0" * 30)
    for name in ("objects", "damaged"):
        with pytest.raises(BadInput, match=rf"{name}\.npz cannot be read as a NumPy archive"):
            tensorflow.read(tmp_path / f"{name}.npz")
