"""Passages per second: `embed_corpus` (batches by length) against transformers with batches in corpus order.

The peer is the obvious implementation: batches of 64 passages in corpus order, padded to the longest, through
`transformers` with the same weights, pooling and projection; in the same precision and in float32.
"""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from common import Figure, arguments, in_turn, rate, report, require_same

if TYPE_CHECKING:
    from torch import Tensor

    from openrealm.corpus.corpus import Corpus
    from openrealm.engine import Engine
    from openrealm.model.retriever import Tower

_BATCH = 64


def main() -> None:
    given = arguments(__doc__.splitlines()[0], passages=(2_000, 256))
    import torch

    from factbook import corpus_of, tokenizer
    from openrealm.engine import engine_for
    from openrealm.model.embedder import embed_corpus
    from openrealm.model.encoder import Encoder, load_backbone
    from openrealm.model.retriever import Tower
    from openrealm.recipes.factbook import factbook

    torch.set_num_threads(given.threads)
    config = factbook()
    engine = engine_for(config)
    backbone = load_backbone(config.model.backbone, dropout=0.0)
    pad_id = tokenizer(config).pad_id
    tower = Tower(Encoder(backbone, pad_id), config.model.projection_dim, pooling="mean", normalize=True)
    tower.to(engine.device).eval()
    # An article has about one and a half passages of the Factbook recipe's length.
    with corpus_of(config, given.passages * 2 // 3) as corpus:
        peer = Peer(tower, corpus)
        ours = embed_corpus(tower, corpus, engine)
        require_same("vectors", bool(torch.allclose(ours, peer.embed(engine.autocast()), atol=0.02)))
        sides: dict[str, Any] = {
            "ours": lambda: embed_corpus(tower, corpus, engine),
            "same": lambda: peer.embed(engine.autocast()),
        }
        if engine.bf16:
            full = dataclasses.replace(engine, bf16=False)
            sides["fp32"] = lambda: peer.embed(full.autocast())
        seconds = in_turn(sides, num_rounds=given.rounds, max_seconds=25 if given.quick else 600, warm_up=False)
        report(*_figures(seconds, corpus.num_passages, engine))


def _figures(seconds: dict[str, list[float]], num_passages: int, engine: Engine) -> list[Figure]:
    precision = "bf16" if engine.bf16 else "fp32"
    name = f"embedding {num_passages} Factbook passages, {precision}"
    peer = f"transformers, padded batches of {_BATCH} in corpus order"
    peers = {"same": f"{peer}, {precision}"} | ({"fp32": f"{peer}, fp32"} if "fp32" in seconds else {})
    return [rate(name, "passages/s", num_passages, seconds["ours"], peers[key], seconds[key]) for key in peers]


class Peer:
    """The same computation, written plainly with `transformers.BertModel`."""

    def __init__(self, tower: Tower, corpus: Corpus) -> None:
        from transformers import BertConfig, BertModel

        own: Any = tower.encoder.backbone
        # A separate configuration with the library's attention: our encoder modifies its own.
        config = BertConfig.from_dict(own.config.to_dict(), attn_implementation="sdpa")
        model: Any = BertModel(config, add_pooling_layer=False)
        self._model = model.to(tower.encoder.device).eval()
        self._model.load_state_dict(own.state_dict())
        self._projection, self._corpus, self._pad_id = tower.projection, corpus, tower.encoder.pad_id

    def embed(self, autocast: AbstractContextManager[Any]) -> Tensor:
        """Unit vectors of all passages, N x D."""
        import torch

        parts = []
        with torch.inference_mode(), autocast:
            for start in range(0, len(self._corpus), _BATCH):
                rows = [self._corpus.passage_row(i) for i in range(start, min(start + _BATCH, len(self._corpus)))]
                longest = max(map(len, rows))
                ids = torch.full((len(rows), longest), self._pad_id)
                mask, segments = torch.zeros_like(ids), torch.zeros_like(ids)
                for n, row in enumerate(rows):
                    ids[n, : len(row)] = torch.from_numpy(row.ids)
                    mask[n, : len(row)] = 1
                    segments[n, row.second : len(row)] = 1
                device = self._model.device
                ids, mask, segments = ids.to(device), mask.to(device), segments.to(device)
                hidden = self._model(ids, attention_mask=mask, token_type_ids=segments).last_hidden_state
                pooled = (hidden * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
                parts.append(torch.nn.functional.normalize(self._projection(pooled).float(), dim=1).cpu())
        return torch.cat(parts)


if __name__ == "__main__":
    main()
