"""Names of tensors in openrealm, in Hugging Face's REALM and in Google's TensorFlow checkpoints.

A part is one network: a tower, the masked-token reader or the span reader. `to_huggingface` and `from_huggingface`
translate the state of a part; `tensorflow_name` translates Hugging Face's names to Google's. Hugging Face's names are
those of `modeling_realm.py` in transformers 4.39.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

TOWER, READER, SPAN_READER = "tower", "reader", "span_reader"

# Prefixes (in openrealm, in Hugging Face's REALM); the first that matches is used.
_PREFIXES = {
    TOWER: (
        ("encoder.backbone.", "realm."),
        ("pooler.0.", "realm.pooler.dense."),
        ("projection.", "cls.dense."),
        ("norm.", "cls.LayerNorm."),
    ),
    READER: (
        ("encoder.backbone.", "realm."),
        ("head.dense.", "cls.predictions.transform.dense."),
        ("head.norm.", "cls.predictions.transform.LayerNorm."),
        ("head.bias", "cls.predictions.bias"),
    ),
    SPAN_READER: (
        ("encoder.backbone.", "realm."),
        ("norm.", "qa_outputs.layer_normalization."),
        ("score.", "qa_outputs.dense_output."),
    ),
}
# One matrix with the projections of both ends of a span: first the rows of the start, then those of the end.
_BOTH_ENDS = "qa_outputs.dense_intermediate."
# Tensors that Hugging Face's networks hold without using them in the forward pass.
_UNUSED = {
    TOWER: ("cls.predictions.", "realm.embeddings.position_ids"),
    READER: ("realm.pooler.", "cls.predictions.decoder.", "realm.embeddings.position_ids", "cls.seq_relationship."),
    SPAN_READER: ("realm.pooler.", "cls.", "realm.embeddings.position_ids"),
}


def is_unused(part: str, name: str) -> bool:
    """Whether a tensor of Hugging Face's never affects the output (the reader's decoder does so only as a tied one)."""
    return name.startswith(_UNUSED[part])


def to_huggingface(part: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A part's state under Hugging Face's names. Tensors are copied only where both ends of spans are joined in one."""
    import torch

    named = {}
    for name, tensor in state.items():
        for own, other in _PREFIXES[part]:
            if name.startswith(own):
                named[other + name.removeprefix(own)] = tensor
                break
    if part == SPAN_READER:
        bias = state["start.bias"]
        named[f"{_BOTH_ENDS}weight"] = torch.cat([state["start.weight"], state["end.weight"]])
        # Only the sum of the two biases affects a span's score; openrealm has one bias, which goes to the start.
        named[f"{_BOTH_ENDS}bias"] = torch.cat([bias, torch.zeros_like(bias)])
    return named


def from_huggingface(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `to_huggingface`. Raises KeyError for a name that has no counterpart."""
    state = {}
    for name, tensor in tensors.items():
        if part == SPAN_READER and name.startswith(_BOTH_ENDS):
            start, end = tensor.chunk(2)
            if name.endswith("bias"):
                state["start.bias"] = start + end
            else:
                state |= {"start.weight": start, "end.weight": end}
            continue
        # The longest prefix wins, since the pooler's begins with the encoder's.
        matching = [pair for pair in _PREFIXES[part] if name.startswith(pair[1])]
        own, other = max(matching, key=lambda pair: len(pair[1]), default=("", ""))
        if not other:
            raise KeyError(name)
        state[own + name.removeprefix(other)] = tensor
    return state


def tensorflow_name(part: str, name: str) -> str:
    """Google's name for a tensor of Hugging Face's, relative to the scope of the part.

    >>> tensorflow_name("reader", "realm.encoder.layer.0.output.dense.weight")
    'bert/encoder/layer_0/output/dense/kernel'
    """
    if part == SPAN_READER:
        for prefix, scope in (
            ("qa_outputs.dense_intermediate.", "dense."),
            ("qa_outputs.dense_output.", "dense_1."),
            ("qa_outputs.", ""),
        ):
            if name.startswith(prefix):
                name = scope + name.removeprefix(prefix)
                break
    if part == TOWER:
        name = re.sub(r"^cls\.(dense|LayerNorm)\.", r"\1.", name)
    name = re.sub(r"\.layer\.(\d+)\.", r".layer_\1.", re.sub(r"^realm\.", "bert.", name))
    norm = re.search(r"(LayerNorm|layer_normalization)\.(weight|bias)$", name)
    if norm:
        name = name.removesuffix(norm[2]) + {"weight": "gamma", "bias": "beta"}[norm[2]]
    elif name.endswith("_embeddings.weight"):
        name = name.removesuffix(".weight")
    elif name.endswith(".weight"):
        name = name.removesuffix("weight") + "kernel"
    elif name == "cls.predictions.bias":
        name = "cls.predictions.output_bias"
    return name.replace(".", "/")
