from pathlib import Path

import pytest
import torch

from openrealm.errors import DamagedArtefact
from openrealm.model.compact import compacted, expanded, expanded_shapes


def _shapes(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}


def test_matrices_come_back_within_half_a_step_of_their_row_and_the_rest_exactly() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(100, 64, generator=generator) * torch.logspace(-6, 3, 100)[:, None]
    matrix[7] = 0
    state = {"matrix": matrix, "bias": torch.randn(5000, generator=generator), "small": torch.randn(2, 3)}
    tensors, aliases = compacted(state)
    back = expanded(tensors, aliases)
    assert tensors["matrix"].dtype == torch.int8
    step_n1 = matrix.abs().amax(dim=1, keepdim=True) / 127
    assert bool(((back["matrix"] - matrix).abs() <= 0.5001 * step_n1).all())
    assert torch.equal(back["bias"], state["bias"])
    assert torch.equal(back["small"], state["small"])


def test_in_16_bits_what_is_exact_in_8_stays_so_and_small_steps_of_training_are_kept() -> None:
    matrix = torch.randn(80, 64, generator=torch.Generator().manual_seed(0))
    exact = expanded(*compacted({"a": matrix}))["a"]
    trained = exact + 1e-4
    tensors, aliases = compacted({"exact": exact, "trained": trained, "huge": matrix * 1e6}, 16)
    stored = {name: tensors[name].dtype for name in ("exact", "trained:half", "huge")}
    assert list(stored.values()) == [torch.int8, torch.float16, torch.float32]
    back = expanded(tensors, aliases)
    assert torch.equal(back["exact"], exact)
    assert torch.allclose(back["trained"], trained, rtol=5e-4, atol=1e-7)
    assert back["trained"].dtype == torch.float32
    again = expanded(*compacted(back, 16))
    assert all(torch.equal(again[name], back[name]) for name in back), "saving again changes nothing"
    shapes = expanded_shapes(_shapes(tensors), aliases, Path("model.safetensors"))
    assert shapes == _shapes(back)


def test_equal_tensors_are_stored_once_and_come_back_as_copies() -> None:
    matrix = torch.randn(80, 64)
    other = matrix.clone()
    other[0, 0], other[0, 1] = matrix[0, 1], matrix[0, 0]  # the same sum
    tensors, aliases = compacted({"a": matrix, "b": matrix.clone(), "c": other})
    assert aliases == {"b": "a"}
    back = expanded(tensors, aliases)
    assert torch.equal(back["a"], back["b"])
    assert not torch.equal(back["a"], back["c"])
    assert back["a"].data_ptr() != back["b"].data_ptr()


def test_expanded_shapes_are_those_of_the_state() -> None:
    state = {"a": torch.randn(80, 64), "b": torch.ones(3), "count": torch.tensor(4)}
    tensors, aliases = compacted(state | {"again": state["a"]})
    shapes = expanded_shapes(_shapes(tensors), aliases, Path("model.safetensors"))
    assert shapes == _shapes(expanded(tensors, aliases))


def test_a_missing_scale_or_an_unknown_alias_is_an_error_that_names_it() -> None:
    tensors, _ = compacted({"a": torch.randn(80, 64)})
    where = Path("model.safetensors")
    with pytest.raises(DamagedArtefact, match=r"model\.safetensors: a has no scale"):
        expanded_shapes(_shapes({"a": tensors["a"]}), {}, where)
    with pytest.raises(DamagedArtefact, match="lacks z, which"):
        expanded_shapes(_shapes(tensors), {"b": "z"}, where)
