"""The passage tower by itself: embedding a corpus, and snapshots for other processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import TypedDict

from openrealm import files
from openrealm.config import ModelConfig
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.model.encoder import Encoder, backbone_from_config
from openrealm.model.retriever import Tower
from openrealm.model.state import built_to_fit, load_unique_state, shapes_in, unique_state
from openrealm.stored import Count

_CHUNK_TOKENS = 4096
_WEIGHTS, _SETTINGS = "tower.safetensors", "config.json"


class _Saved(TypedDict):
    model: dict[str, Any]
    backbone: dict[str, Any]
    pad_id: Count


def save_tower(tower: Tower, config: ModelConfig, backbone_settings: dict[str, Any], folder: Path) -> str:
    """Publish a tower and its configuration as `folder` atomically; returns its digest."""
    digest = tower.digest()
    with files.new_folder(folder, {"kind": "tower", "encoder": digest}) as out:
        files.write_safetensors(out / _WEIGHTS, unique_state(tower))
        files.write_json(
            out / _SETTINGS,
            {
                "model": dataclasses.asdict(config),
                "backbone": backbone_settings,
                "pad_id": tower.encoder.pad_id,
            },
        )
    return digest


def load_tower(folder: Path) -> Tower:
    """Read a tower written by `save_tower`. Raises DamagedArtefact if a file differs from its digest."""
    files.read_manifest(folder, needs=(_SETTINGS, _WEIGHTS))
    settings = files.read_json(folder / _SETTINGS, _Saved)
    config = ModelConfig(**settings["model"])

    def build() -> Tower:
        return Tower.from_config(Encoder(backbone_from_config(settings["backbone"]), settings["pad_id"]), config)

    where = folder / _WEIGHTS
    tower = built_to_fit(build, shapes_in(where), settings["backbone"], where, folder / _SETTINGS)
    load_unique_state(tower, files.read_safetensors(where), where)
    return tower


@torch.no_grad()
def embed_corpus(tower: Tower, corpus: Corpus, engine: Engine, progress: Callable[[int], None] | None = None) -> Tensor:
    """Vectors of all passages, without the null passage, N x D in float32 on the CPU.

    Passages of similar length are embedded together to minimise padding. The tower's training mode is restored.

    progress  called with the number of passages just embedded
    """
    was_training = tower.training
    tower.eval()
    num_passages = corpus.num_passages
    rows = [corpus.passage_row(i) for i in range(num_passages)]
    order = sorted(range(num_passages), key=lambda i: len(rows[i]))
    vector_ND = torch.zeros(num_passages, tower.projection.out_features)
    with engine.autocast():  # once for all chunks, since each entry rounds the weights again
        for chunk in _chunks(order, [len(row) for row in rows]):
            vector_ND[chunk] = tower([rows[i] for i in chunk], max_rows=len(chunk)).float().cpu()
            if progress is not None:
                progress(len(chunk))
    tower.train(was_training)
    return vector_ND


def _chunks(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Consecutive parts of `order` with up to _CHUNK_TOKENS tokens each, so that matrices are large enough."""
    chunk: list[int] = []
    for number in order:
        if chunk and (len(chunk) + 1) * lengths[number] > _CHUNK_TOKENS:
            yield chunk
            chunk = []
        chunk.append(number)
    yield chunk
