"""p(y|z,x) in fine-tuning: scores of all spans of up to W tokens (Lee et al. 2019, Sec. 4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from openrealm.model.encoder import Encoder, in_order, wide
from openrealm.text.pack import Row

_MAX_ROWS = 16  # rows of 150 tokens: more of them leave the cache of a core


class SpanReader(nn.Module):
    """g(s) = MLP([h_start(s); h_end(s)]) (Guu et al. 2020, Sec. 3.2).

    The MLP is a layer of `span_hidden` units with ReLU and LayerNorm, and a linear layer.
    """

    def __init__(
        self, encoder: Encoder, span_hidden: int = 256, max_span_tokens: int = 10, *, norm_eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.start = nn.Linear(encoder.hidden_size, span_hidden)
        self.end = nn.Linear(encoder.hidden_size, span_hidden, bias=False)
        self.norm = nn.LayerNorm(span_hidden, eps=norm_eps)
        self.score = nn.Linear(span_hidden, 1)
        self.max_span_tokens = max_span_tokens

    def forward(self, rows: Sequence[Row], body_starts: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Scores of all spans of the bodies.

        rows         n joint inputs, each of which ends with one [SEP]
        body_starts  per row, the position of the body's first token
        Returns g and a mask of valid spans, both n x P x W, where [n, p, w] is the span from token p to token p + w of
        the body (inclusive) and P is the length of the longest body, at least 1.
        """
        num_body = [len(row) - 1 - start for row, start in zip(rows, body_starts, strict=True)]
        longest = max(1, *num_body) if len(num_body) > 1 else max(1, num_body[0])
        parts: list[Tensor] = []
        order: list[int] = []
        for indices, hidden_nTH, _ in self.encoder.chunks(rows, _MAX_ROWS):
            first_n = torch.tensor([body_starts[i] for i in indices], device=hidden_nTH.device)
            index_nP = (first_n[:, None] + torch.arange(longest, device=first_n.device)).clamp(
                max=hidden_nTH.shape[1] - 1
            )
            body_nPH = hidden_nTH.gather(1, index_nP[:, :, None].expand(-1, -1, hidden_nTH.shape[2]))
            parts.append(self._grid(body_nPH))
            order += indices
        g_nPW = in_order(parts, order)
        last_nPW = (
            torch.arange(longest, device=g_nPW.device)[:, None]
            + torch.arange(self.max_span_tokens, device=g_nPW.device)
        )[None]
        valid_nPW = last_nPW < torch.tensor(num_body, device=g_nPW.device)[:, None, None]
        return g_nPW, valid_nPW

    def _grid(self, body_nPH: Tensor) -> Tensor:
        start_nPh, end_nPh = self.start(body_nPH), self.end(body_nPH)
        num_widths = self.max_span_tokens
        padded = nn.functional.pad(end_nPh, (0, 0, 0, num_widths - 1))
        ends_nPWh = padded.unfold(1, num_widths, 1).movedim(-1, 2)
        scored: Tensor = self.score(self.norm(torch.relu(start_nPh[:, :, None] + ends_nPWh)))
        return wide(scored.squeeze(-1))
