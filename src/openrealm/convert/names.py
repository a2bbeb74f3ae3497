"""How tensors are called here, in Hugging Face's REALM and in Google's TensorFlow checkpoints.

A part is one network: a tower, the masked-token reader or the span reader. `theirs` and `ours` turn the state of a part
into Hugging Face's names and back; `tensorflow_name` gives Google's name of a Hugging Face one. Facts of the names:
transformers 4.39.3, `modeling_realm.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

TOWER, READER, SPAN_READER = "tower", "reader", "span_reader"

# (here, there), by prefix; the first that fits counts.
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
# Both ends' projections in one matrix: the first rows are the start's, the others the end's.
_BOTH_ENDS = "qa_outputs.dense_intermediate."
# What their networks hold and their forward pass never reads.
_UNUSED = {
    TOWER: ("cls.predictions.", "realm.embeddings.position_ids"),
    READER: ("realm.pooler.", "cls.predictions.decoder.", "realm.embeddings.position_ids", "cls.seq_relationship."),
    SPAN_READER: ("realm.pooler.", "cls.", "realm.embeddings.position_ids"),
}


def is_unused(part: str, name: str) -> bool:
    """Whether a tensor of theirs never enters their output (for the reader's tied decoder: not by itself)."""
    return name.startswith(_UNUSED[part])


def theirs(part: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A part's state under Hugging Face's names; new tensors only where both ends of spans are put into one."""
    import torch

    named = {}
    for name, tensor in state.items():
        for here, there in _PREFIXES[part]:
            if name.startswith(here):
                named[there + name.removeprefix(here)] = tensor
                break
    if part == SPAN_READER:
        bias = state["start.bias"]
        named[f"{_BOTH_ENDS}weight"] = torch.cat([state["start.weight"], state["end.weight"]])
        # Only the sum of the two biases enters a span's score; ours is all at the start.
        named[f"{_BOTH_ENDS}bias"] = torch.cat([bias, torch.zeros_like(bias)])
    return named


def ours(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `theirs`; names of theirs that are not ours to know raise KeyError."""
    state = {}
    for name, tensor in tensors.items():
        if part == SPAN_READER and name.startswith(_BOTH_ENDS):
            start, end = tensor.chunk(2)
            if name.endswith("bias"):
                state["start.bias"] = start + end
            else:
                state |= {"start.weight": start, "end.weight": end}
            continue
        # The longest prefix of theirs, since the pooler's lies inside the encoder's.
        fitting = [pair for pair in _PREFIXES[part] if name.startswith(pair[1])]
        here, there = max(fitting, key=lambda pair: len(pair[1]), default=("", ""))
        if not there:
            raise KeyError(name)
        state[here + name.removeprefix(there)] = tensor
    return state


def tensorflow_name(part: str, name: str) -> str:
    """Google's name of a Hugging Face tensor, as the part's own scope has it.

    >>> tensorflow_name("reader", "realm.encoder.layer.0.output.dense.weight")
    'bert/encoder/layer_0/output/dense/kernel'
    """
    if part == SPAN_READER:
        for there, scope in (
            ("qa_outputs.dense_intermediate.", "dense."),
            ("qa_outputs.dense_output.", "dense_1."),
            ("qa_outputs.", ""),
        ):
            if name.startswith(there):
                name = scope + name.removeprefix(there)
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
