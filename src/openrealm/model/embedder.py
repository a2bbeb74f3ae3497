"""The passage tower by itself: embedding a corpus, and snapshots for other processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from openrealm import files
from openrealm.config import ModelConfig
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.model.encoder import Encoder, backbone_from_config
from openrealm.model.retriever import Tower

_CHUNK_TOKENS = 4096


def save_tower(tower: Tower, config: ModelConfig, backbone_settings: dict[str, Any], folder: Path) -> str:
    """Publish a tower and its configuration as `folder` atomically; returns its digest."""
    digest = tower.digest()
    with files.new_folder(folder, {"kind": "tower", "encoder": digest}) as out:
        files.write_safetensors(out / "tower.safetensors", tower.state_dict())
        files.write_json(
            out / "config.json",
            {
                "model": dataclasses.asdict(config),
                "backbone": backbone_settings,
                "pad_id": tower.encoder.pad_id,
            },
        )
    return digest


def load_tower(folder: Path) -> Tower:
    """Read a tower written by `save_tower`. Raises DamagedArtefact if a file differs from its digest."""
    from safetensors.torch import load_file

    files.read_manifest(folder)
    settings = files.read_json(folder / "config.json")
    config = ModelConfig(**settings["model"])
    encoder = Encoder(backbone_from_config(settings["backbone"]), settings["pad_id"])
    tower = Tower.from_config(encoder, config)
    tower.load_state_dict(load_file(folder / "tower.safetensors"))
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
