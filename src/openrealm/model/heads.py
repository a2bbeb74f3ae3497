"""What a folder of weights brings beside its encoder: a masked-token head, a retrieval projection. By BERT's names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from torch import Tensor, nn

_WEIGHTS = "model.safetensors"
_HEAD = {
    "dense.weight": "cls.predictions.transform.dense.weight",
    "dense.bias": "cls.predictions.transform.dense.bias",
    "norm.weight": "cls.predictions.transform.LayerNorm.weight",
    "norm.bias": "cls.predictions.transform.LayerNorm.bias",
    "bias": "cls.predictions.bias",
}
# No name of BERT's: the projection of mean-pooled states that ICT trained.
_PROJECTION = {"weight": "retrieval_projection.weight"}


def stored_heads(location: str) -> dict[str, Tensor]:
    """The tensors, in float32, that `take_head` and `take_projection` look for; none where `location` has none."""
    path = Path(location) / _WEIGHTS
    if not path.is_file():
        return {}
    with safe_open(path, framework="pt") as stored:
        names = set(stored.keys()) & {*_HEAD.values(), *_PROJECTION.values()}
        return {name: stored.get_tensor(name).float() for name in sorted(names)}


def head_state(head: nn.Module, projection: nn.Module) -> dict[str, Tensor]:
    """Both under the names by which they are stored."""
    mine = {_HEAD[name]: tensor for name, tensor in head.state_dict().items()}
    return mine | {_PROJECTION[name]: tensor for name, tensor in projection.state_dict().items()}


def take_head(head: nn.Module, stored: Mapping[str, Tensor]) -> bool:
    """Fill a masked-token head; False, and nothing changed, where it is not stored whole and in this shape."""
    return _take(head, stored, _HEAD)


def take_projection(projection: nn.Module, stored: Mapping[str, Tensor]) -> bool:
    """Fill a tower's projection; False, and nothing changed, where it is not stored in this shape."""
    return _take(projection, stored, _PROJECTION)


def _take(module: nn.Module, stored: Mapping[str, Tensor], names: Mapping[str, str]) -> bool:
    own = module.state_dict()
    if set(own) != set(names) or any(names[n] not in stored or stored[names[n]].shape != own[n].shape for n in own):
        return False
    module.load_state_dict({name: stored[names[name]] for name in own})
    return True
