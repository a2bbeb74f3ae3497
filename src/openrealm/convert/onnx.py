"""Export of the towers to ONNX: from token ids to vectors in one graph, with batch size and length left open."""

from __future__ import annotations

import contextlib
import importlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from openrealm import files
from openrealm.errors import BadInput, NotInstalled
from openrealm.model.realm import Realm
from openrealm.model.retriever import Tower
from openrealm.text.export import Text, save_for_tokenizers

if TYPE_CHECKING:
    from torch.onnx import ONNXProgram

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_OUTPUT = "vector"
_OPSET = 18
_MAX_BYTES = 2**31 - 1  # of a protocol buffer


class _Graph(nn.Module):
    """From padded rows to vectors."""

    def __init__(self, tower: Tower, temperature: float) -> None:
        super().__init__()
        self.tower = tower
        self.temperature = temperature
        self.train(tower.training)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        encoder = self.tower.encoder
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if encoder.has_segments:
            inputs["token_type_ids"] = token_type_ids
        hidden_nTH = encoder.backbone(**inputs).last_hidden_state
        return self.tower.vectors(hidden_nTH, attention_mask.bool()) / self.temperature


def write(model: Realm, folder: Path) -> list[Path]:
    """Write `query/` and `passage/` into `folder`, each with model.onnx and a tokenizer.json for `tokenizers`.

    A graph takes input_ids, attention_mask and token_type_ids, int64 of shape (n, T), and returns the float32 vectors
    (n, D) of `Realm.encode_query` or `Realm.encode_passage`, so that inner products are the scores f(x, z). n and T are
    free; T is at most what the encoder reads.

    Raises NotInstalled without the extra `onnx`, BadInput if a graph would be larger than an ONNX file may be.
    """
    _require_exporter()
    retriever = model.retriever
    graphs: dict[Text, _Graph] = {
        "query": _Graph(retriever.query_tower, retriever.temperature),
        "passage": _Graph(retriever.passage_tower, 1.0),
    }
    with files.new_folder(folder, {"kind": "onnx"}) as out:
        for name, graph in graphs.items():
            files.write_bytes(out / name / "model.onnx", _serialized(graph))
            save_for_tokenizers(model.tokenizer, out / name, graph.tower.encoder.max_tokens, name)
    return [folder / name for name in graphs]


def _require_exporter() -> None:
    """Raise NotInstalled if a package that the exporter of torch needs is missing."""
    for name in ("onnx", "onnxscript"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise NotInstalled(
                f'Exporting to ONNX needs {name}; install it with: pip install "openrealm[onnx]".'
            ) from error


def _serialized(graph: _Graph) -> bytes:
    num_bytes = sum(parameter.nbytes for parameter in graph.parameters())
    if num_bytes > _MAX_BYTES:
        raise BadInput(f"A tower has {num_bytes:,} bytes, but an ONNX file holds at most {_MAX_BYTES:,}.")
    with _as_exported(graph):
        proto = _exported(graph).model_proto
    return bytes(proto.SerializeToString())


def _exported(graph: _Graph) -> ONNXProgram:
    n, t = torch.export.Dim("n", min=1), torch.export.Dim("t", min=3, max=graph.tower.encoder.max_tokens)
    # Three tensors, since the exporter takes the same one for the same input.
    example = tuple(torch.full((2, 7), value, dtype=torch.long) for value in (3, 1, 0))
    program = torch.onnx.export(
        graph,
        example,
        input_names=_INPUTS,
        output_names=[_OUTPUT],
        dynamic_shapes=({0: n, 1: t},) * len(_INPUTS),
        opset_version=_OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None, "always returned by this exporter"
    return program


@contextlib.contextmanager
def _as_exported(graph: _Graph) -> Iterator[None]:
    """Evaluation mode, plain attention, and no messages of the exporter; restored afterwards."""
    config: Any = graph.tower.encoder.backbone.config
    attention, was_training = config._attn_implementation, graph.training
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    graph.eval()
    config._attn_implementation = "eager"
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        config._attn_implementation = attention
        graph.train(was_training)
        logger.setLevel(level)
