"""Heads stored with an encoder, under BERT's names: a masked-token head and a retrieval projection."""

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
# Not a name of BERT's: the projection of mean-pooled states, trained by the Inverse Cloze Task.
_PROJECTION = {"weight": "retrieval_projection.weight"}


def stored_heads(location: str | Path) -> dict[str, Tensor]:
    """The tensors of a folder that `take_head` and `take_projection` look for, in float32; empty if it has none.

    >>> from openrealm.model.weights import locate
    >>> sorted(stored_heads(locate("openrealm-mini")))[-1]
    'retrieval_projection.weight'
    """
    path = Path(location) / _WEIGHTS
    if not path.is_file():
        return {}
    with safe_open(path, framework="pt") as stored:
        names = set(stored.keys()) & {*_HEAD.values(), *_PROJECTION.values()}
        return {name: stored.get_tensor(name).float() for name in sorted(names)}


def head_state(head: nn.Module, projection: nn.Module) -> dict[str, Tensor]:
    """The weights of a masked-token head and of a projection, under the names by which they are stored.

    >>> import openrealm
    >>> model = openrealm.Realm.from_pretrained("openrealm-mini")
    >>> len(head_state(model.reader.head, model.retriever.passage_tower.projection))
    6
    """
    mine = {_HEAD[name]: tensor for name, tensor in head.state_dict().items()}
    return mine | {_PROJECTION[name]: tensor for name, tensor in projection.state_dict().items()}


def take_head(head: nn.Module, stored: Mapping[str, Tensor]) -> bool:
    """Load a masked-token head from `stored_heads`.

    Returns False and changes nothing if a tensor is missing or has another shape.

    >>> from openrealm.model.reader import MaskedTokenHead
    >>> take_head(MaskedTokenHead(256, 16000), {})
    False
    """
    return _take(head, stored, _HEAD)


def take_projection(projection: nn.Module, stored: Mapping[str, Tensor]) -> bool:
    """Load a tower's projection from `stored_heads`.

    Returns False and changes nothing if it is missing or has another shape.

    >>> from openrealm.model.weights import locate
    >>> take_projection(nn.Linear(256, 128, bias=False), stored_heads(locate("openrealm-mini")))
    True
    """
    return _take(projection, stored, _PROJECTION)


def _take(module: nn.Module, stored: Mapping[str, Tensor], names: Mapping[str, str]) -> bool:
    own = module.state_dict()
    if set(own) != set(names) or any(names[n] not in stored or stored[names[n]].shape != own[n].shape for n in own):
        return False
    module.load_state_dict({name: stored[names[name]] for name in own})
    return True
