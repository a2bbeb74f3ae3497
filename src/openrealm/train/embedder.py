"""The passage tower on its own: what a refresh needs, saved small and loaded by another process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from openrealm import files
from openrealm.config import ModelConfig
from openrealm.engine import Engine
from openrealm.model.encoder import Encoder, backbone_from_config
from openrealm.model.realm import Realm
from openrealm.model.retriever import Tower
from openrealm.train.layout import Layout

_CHUNK_TOKENS = 4096


def save_tower(model: Realm, folder: Path) -> str:
    """Write E_doc of `model` as it is now; returns its digest."""
    tower = model.retriever.passage_tower
    digest = tower.digest()
    with files.new_folder(folder, {"kind": "tower", "encoder": digest}) as out:
        files.write_safetensors(out / "tower.safetensors", tower.state_dict())
        files.write_json(
            out / "config.json",
            {
                "model": dataclasses.asdict(model.config),
                "backbone": model.backbone_settings,
                "pad_id": model.specials.pad,
            },
        )
    return digest


def load_tower(folder: Path) -> Tower:
    """Read what `save_tower` wrote, digests checked."""
    from safetensors.torch import load_file

    files.read_manifest(folder)
    settings = files.read_json(folder / "config.json")
    config = ModelConfig(**settings["model"])
    encoder = Encoder(backbone_from_config(settings["backbone"]), settings["pad_id"])
    tower = Tower.from_config(encoder, config)
    tower.load_state_dict(load_file(folder / "tower.safetensors"))
    return tower


@torch.no_grad()
def embed_corpus(tower: Tower, layout: Layout, engine: Engine, advance: Callable[[int], None] | None = None) -> Tensor:
    """E_doc of every passage, N x D float32 on the CPU. Passages of like length go together, so that padding is small.

    The null passage is no part of an index (spec Sec. 6.5).
    """
    tower.eval()
    num_passages = layout.corpus.num_passages
    rows = [layout.passage(i) for i in range(num_passages)]
    order = sorted(range(num_passages), key=lambda i: len(rows[i]))
    vector_ND = torch.zeros(num_passages, tower.projection.out_features)
    with engine.autocast():  # once for all chunks: every entry rounds the weights anew
        for chunk in _chunks(order, [len(row) for row in rows]):
            vector_ND[chunk] = tower([rows[i] for i in chunk], max_rows=len(chunk)).float().cpu()
            if advance is not None:
                advance(len(chunk))
    return vector_ND


def _chunks(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Runs of `order` of about _CHUNK_TOKENS tokens each, so that short passages make no small matrices."""
    chunk: list[int] = []
    for number in order:
        if chunk and (len(chunk) + 1) * lengths[number] > _CHUNK_TOKENS:
            yield chunk
            chunk = []
        chunk.append(number)
    yield chunk
