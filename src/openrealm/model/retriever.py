"""p(z|x): two towers that map queries and passages into one vector space (Guu et al. 2020, Eq. 2)."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from openrealm.config import ModelConfig
from openrealm.model.encoder import Encoder, in_order, wide
from openrealm.text.pack import Row


def mean_pooled(hidden_nTH: Tensor, real_nT: Tensor) -> Tensor:
    """Mean of the hidden states of each row, n x H, in their dtype; `real_nT` is False for padding."""
    weight_nT1 = real_nT[:, :, None].to(hidden_nTH.dtype)
    return (hidden_nTH * weight_nT1).sum(dim=1) / weight_nT1.sum(dim=1)


class Tower(nn.Module):
    """E(x) = W . pool(encoder(x)), with the [CLS] state (the paper) or the mean over tokens as pool.

    With `projection="released"`, as in Google's code, E(x) = LayerNorm(W . tanh(dense(pool)) + b).
    """

    def __init__(
        self,
        encoder: Encoder,
        projection_dim: int,
        *,
        pooling: str = "cls",
        normalize: bool = False,
        projection: str = "linear",
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        released = projection == "released"
        self.pooler = (
            nn.Sequential(nn.Linear(encoder.hidden_size, encoder.hidden_size), nn.Tanh()) if released else None
        )
        self.projection = nn.Linear(encoder.hidden_size, projection_dim, bias=released)
        self.norm = nn.LayerNorm(projection_dim, eps=norm_eps) if released else None
        # Orthogonal rows preserve the inner products of a pre-trained encoder as well as D dimensions can.
        nn.init.orthogonal_(self.projection.weight)
        self.pooling = pooling
        self.normalize = normalize

    @classmethod
    def from_config(cls, encoder: Encoder, config: ModelConfig) -> Tower:
        """The tower described by `config`, using `encoder`."""
        return cls(
            encoder,
            config.projection_dim,
            pooling=config.pooling,
            normalize=config.normalize,
            projection=config.projection,
            norm_eps=config.norm_eps,
        )

    def forward(self, rows: Sequence[Row], max_rows: int = 32) -> Tensor:
        """Vectors of `rows`, n x D in float32, of unit length if `normalize` is set."""
        if not rows:
            return self.projection.weight.T[:0]  # of the right shape, and part of the graph
        parts: list[Tensor] = []
        order: list[int] = []
        for indices, hidden_nTH, real_nT in self.encoder.chunks(rows, max_rows):
            parts.append(self.vectors(hidden_nTH, real_nT))
            order += indices
        return in_order(parts, order)

    def vectors(self, hidden_nTH: Tensor, real_nT: Tensor) -> Tensor:
        """Vectors n x D from hidden states; `real_nT` is False for padding."""
        pooled_nH = hidden_nTH[:, 0] if self.pooling == "cls" else mean_pooled(hidden_nTH, real_nT)
        vector_nD = wide(self._project(pooled_nH))
        return nn.functional.normalize(vector_nD, dim=1) if self.normalize else vector_nD

    def _project(self, pooled_nH: Tensor) -> Tensor:
        if self.pooler is not None:
            pooled_nH = self.pooler(pooled_nH)
        vector_nD: Tensor = self.projection(pooled_nH)
        return vector_nD if self.norm is None else self.norm(vector_nD)

    def digest(self) -> str:
        """Hex SHA-256 of names and weights, to which an index is bound."""
        sha = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            sha.update(name.encode())
            sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return sha.hexdigest()


class Retriever(nn.Module):
    """The query tower and the passage tower.

    shared       use the same weights for both
    temperature  divisor of the scores
    """

    def __init__(self, passage_tower: Tower, *, shared: bool, temperature: float = 1.0) -> None:
        super().__init__()
        self.passage_tower = passage_tower
        self.query_tower = passage_tower if shared else copy.deepcopy(passage_tower)
        self.temperature = temperature

    def encode_query(self, rows: Sequence[Row], max_rows: int = 32) -> Tensor:
        """E_input(x), B x D, divided by the temperature, so that inner products are the scores f(x, z)."""
        vector_BD: Tensor = self.query_tower(rows, max_rows) / self.temperature
        return vector_BD

    def encode_passage(self, rows: Sequence[Row], max_rows: int = 32) -> Tensor:
        """E_doc(z), N x D."""
        vector_ND: Tensor = self.passage_tower(rows, max_rows)
        return vector_ND

    def untie(self) -> None:
        """Separate the weights of the query tower, so that it can be trained without changing passage vectors."""
        if self.query_tower is self.passage_tower:
            self.query_tower = copy.deepcopy(self.passage_tower)
