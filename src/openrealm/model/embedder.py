"""The passage tower by itself: embedding a corpus, and snapshots for other processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
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
from openrealm.text.pack import Row, pad

_CHUNK_TOKENS = 2048  # so that matrices are large enough, and little is padded where few passages have a length
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
def embed_corpus(
    tower: Tower,
    corpus: Corpus,
    engine: Engine,
    progress: Callable[[int], None] | None = None,
    passages: npt.NDArray[np.integer] | None = None,
) -> Tensor:
    """Vectors of all passages, without the null passage, N x D in float32 on the CPU.

    A vector does not depend, to the last bit, on the passages that are embedded with it: the shape of the input is a
    function of the passage's length. The tower's training mode is restored.

    progress  called with the number of passages just embedded
    passages  embed only these; then row i of the result belongs to the i-th of them
    """
    was_training = tower.training
    tower.eval()
    numbers = np.arange(corpus.num_passages) if passages is None else passages
    vector_ND = torch.zeros(len(numbers), tower.projection.out_features)
    length_N = corpus.row_lengths()[numbers]
    with engine.autocast():  # once for all chunks, since each entry rounds the weights again
        for chunk, num_rows, num_tokens in chunks_of(length_N, corpus.max_row_tokens):
            rows = [corpus.passage_row(int(i)) for i in numbers[chunk]]
            vector_nD = _vectors(tower, rows, num_rows, num_tokens)[: len(rows)]
            vector_ND[torch.from_numpy(chunk)] = vector_nD.float().cpu()
            if progress is not None:
                progress(len(rows))
    tower.train(was_training)
    return vector_ND


def _vectors(tower: Tower, rows: Sequence[Row], num_rows: int, num_tokens: int) -> Tensor:
    """Vectors num_rows x D; those after `rows` mean nothing."""
    ids, real, segments = pad(rows, tower.encoder.pad_id, num_rows, num_tokens)
    real[len(rows) :, 0] = True  # attention needs a token
    real_nT = torch.from_numpy(real).to(tower.encoder.device)
    hidden_nTH = tower.encoder(torch.from_numpy(ids).to(real_nT.device), real_nT, torch.from_numpy(segments))
    return tower.vectors(hidden_nTH, real_nT)


def chunks_of(length_N: npt.NDArray[np.int64], max_tokens: int) -> Iterator[tuple[npt.NDArray[np.int64], int, int]]:
    """Rows to be embedded together, given the lengths of all rows, and the shape of the padded input.

    Rows are padded to a multiple of 8, at most `max_tokens`, and their number to what makes up _CHUNK_TOKENS tokens.

    >>> [(chunk.tolist(), rows, tokens) for chunk, rows, tokens in chunks_of(np.array([9, 3, 14]), 64)]
    [([1], 256, 8), ([0, 2], 128, 16)]
    """
    padded_N = np.minimum(-(-length_N // 8) * 8, max_tokens)
    order = np.argsort(padded_N, kind="stable")
    sizes, firsts = np.unique(padded_N[order], return_index=True)
    for size, (first, last) in zip(sizes.tolist(), pairwise([*firsts.tolist(), len(order)]), strict=True):
        num_rows = max(1, _CHUNK_TOKENS // size)
        for start in range(first, last, num_rows):
            yield order[start : min(start + num_rows, last)], num_rows, size
