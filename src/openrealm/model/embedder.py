"""The passage tower by itself: embedding a corpus, and snapshots for other processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
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
    length_N = corpus.row_lengths()
    vector_ND = torch.zeros(corpus.num_passages, tower.projection.out_features)
    with engine.autocast():  # once for all chunks, since each entry rounds the weights again
        for chunk in chunks_of(length_N):
            rows = [corpus.passage_row(i) for i in chunk.tolist()]
            vector_ND[torch.from_numpy(chunk)] = tower(rows, max_rows=len(rows)).float().cpu()
            if progress is not None:
                progress(len(rows))
    tower.train(was_training)
    return vector_ND


def chunks_of(length_N: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Passages by length, with up to _CHUNK_TOKENS tokens each with padding, so that matrices are large enough."""
    order = np.argsort(length_N, kind="stable")
    first = 0
    while first < len(order):
        # The last row of a chunk is its longest.
        lengths = length_N[order[first : first + _CHUNK_TOKENS]]
        num_rows = int(np.searchsorted(np.arange(1, len(lengths) + 1) * lengths, _CHUNK_TOKENS, "right"))
        yield order[first : first + max(1, num_rows)]
        first += max(1, num_rows)
