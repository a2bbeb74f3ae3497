"""p(y|z,x) in pre-training: the knowledge-augmented encoder over query and passage (Guu et al. 2020, Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from openrealm.model.encoder import Encoder, in_order, wide
from openrealm.text.pack import Row


class MaskedTokenHead(nn.Module):
    """BERT's masked-token head: dense layer, activation, LayerNorm, product with the word embeddings, bias."""

    def __init__(self, hidden_size: int, vocab_size: int, *, activation: str = "gelu", norm_eps: float = 1e-5) -> None:
        from transformers.activations import ACT2FN

        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        # With the identity a new head starts by copying the tokens that the encoder represents (docs/lab-log.md).
        nn.init.eye_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)
        self.activation: nn.Module = ACT2FN[activation]
        self.norm = nn.LayerNorm(hidden_size, eps=norm_eps)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, hidden_MH: Tensor, table_VH: Tensor) -> Tensor:
        """Logits over the vocabulary, M x V in float32, of hidden states M x H with the word embeddings `table_VH`."""
        transformed_MH: Tensor = self.norm(self.activation(self.dense(hidden_MH)))
        return wide(transformed_MH @ table_VH.to(transformed_MH.dtype).T) + self.bias


class Reader(nn.Module):
    """Predicts each mask of `[CLS] x [SEP] body [SEP]` independently (Guu et al. 2020, Sec. 3.2)."""

    def __init__(self, encoder: Encoder, vocab_size: int, *, norm_eps: float = 1e-5) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = MaskedTokenHead(encoder.hidden_size, vocab_size, activation=encoder.activation, norm_eps=norm_eps)

    def gold_log_prob(
        self, rows: Sequence[Row], positions: Sequence[Sequence[int]], gold: Sequence[Sequence[int]]
    ) -> Tensor:
        """log p(y_j|z,x) of the correct token at each mask.

        rows       n joint inputs
        positions  per row, the positions of its masks
        gold       per row, the correct token ids at these positions
        Returns n x J values in nats, where J is the largest number of masks, padded with 0.
        """
        num_masks = max(len(row) for row in positions)
        index_nJ = torch.zeros(len(rows), num_masks, dtype=torch.long)
        gold_nJ = torch.zeros(len(rows), num_masks, dtype=torch.long)
        real_nJ = torch.zeros(len(rows), num_masks, dtype=torch.bool)
        for n, (where, tokens) in enumerate(zip(positions, gold, strict=True)):
            index_nJ[n, : len(where)] = torch.tensor(where)
            gold_nJ[n, : len(tokens)] = torch.tensor(tokens)
            real_nJ[n, : len(where)] = True
        parts: list[Tensor] = []
        order: list[int] = []
        for indices, hidden_nTH, _ in self.encoder.chunks(rows):
            device = hidden_nTH.device
            pick = real_nJ[indices].to(device)
            where_nJ = index_nJ[indices].to(device)
            masked_MH = hidden_nTH[torch.arange(len(indices), device=device)[:, None], where_nJ][pick]
            logit_MV = self.head(masked_MH, self._table())
            gold_M = gold_nJ[indices].to(device)[pick]
            logp_M = -nn.functional.cross_entropy(logit_MV, gold_M, reduction="none")
            parts.append(logp_M.new_zeros(pick.shape).masked_scatter(pick, logp_M))
            order += indices
        return in_order(parts, order)

    def fill(self, rows: Sequence[Row], positions: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """The most likely token at each mask.

        rows       n joint inputs
        positions  per row, the positions of its masks, J in every row
        Returns token ids, n x J, and the mean of their log-probabilities in nats, shape (n,).
        """
        ids: list[Tensor] = []
        means: list[Tensor] = []
        order: list[int] = []
        for indices, hidden_nTH, _ in self.encoder.chunks(rows):
            where_nJ = torch.tensor([list(positions[i]) for i in indices], device=hidden_nTH.device)
            masked_nJH = hidden_nTH[torch.arange(len(indices), device=hidden_nTH.device)[:, None], where_nJ]
            best_nJ = self.head(masked_nJH, self._table()).log_softmax(dim=-1).max(dim=-1)
            ids.append(best_nJ.indices)
            means.append(best_nJ.values.mean(dim=1))
            order += indices
        return in_order(ids, order), in_order(means, order)

    def _table(self) -> Tensor:
        """The V x H word embeddings, without rows that only pad the encoder's matrix."""
        table = self.encoder.word_embeddings()
        vocab_size = self.head.bias.shape[0]
        return table if table.shape[0] == vocab_size else table[:vocab_size]
