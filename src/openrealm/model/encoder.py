"""Any BERT-like encoder by name or folder, and how rows of unequal length go through it without much padding."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from openrealm.errors import BadConfig
from openrealm.model.weights import backbone_location
from openrealm.text.pack import Row, chunks_by_length, pad

# Longest rows for which unfused attention is the faster one on a CPU.
_PLAIN_ATTENTION_TOKENS = 160


def load_backbone(name: str, *, num_layers: int | None = None, dropout: float = 0.1) -> nn.Module:
    """The encoder of `name` (see `backbone_location`) without pooler, cut to its first `num_layers` where given."""
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel
    from transformers.utils.logging import disable_progress_bar

    logging.getLogger("transformers").setLevel(logging.ERROR)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    location = backbone_location(name)
    try:
        settings = AutoConfig.from_pretrained(location)
        _adjust(settings, num_layers, dropout)
        model = AutoModel.from_pretrained(location, config=settings, use_safetensors=True, attn_implementation="sdpa")
        model = model.float()  # weights stored in half precision too are trained in full
    except (OSError, ValueError, SafetensorError) as error:
        raise BadConfig(
            f"model.backbone: {name} cannot be loaded ({str(error).strip().partition(chr(10))[0]}); give a folder with "
            "config.json and model.safetensors, a reachable hub id, 'openrealm-mini' or 'minilm'."
        ) from error
    return _without_pooler(model)


def backbone_from_config(settings: dict[str, Any]) -> nn.Module:
    """The same architecture with random weights, from a stored config (to be filled by `load_state_dict`)."""
    from transformers import AutoConfig, AutoModel

    values = dict(settings)
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    model = AutoModel.from_config(config, attn_implementation="sdpa")  # type: ignore[no-untyped-call]
    return _without_pooler(model)


def _adjust(settings: Any, num_layers: int | None, dropout: float) -> None:
    if num_layers is not None:
        if not 0 < num_layers <= settings.num_hidden_layers:
            raise BadConfig(f"model.num_layers: {num_layers} given, the backbone has {settings.num_hidden_layers}.")
        settings.num_hidden_layers = num_layers
    for key in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        if hasattr(settings, key):
            setattr(settings, key, dropout)


def _without_pooler(model: Any) -> nn.Module:
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    module: nn.Module = model
    return module


class Encoder(nn.Module):
    """A backbone that takes rows (token ids of unequal length) and yields hidden states chunk by chunk."""

    def __init__(self, backbone: nn.Module, pad_id: int, *, freeze_embeddings: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.pad_id = pad_id
        settings: Any = backbone.config
        self.hidden_size = int(settings.hidden_size)
        self.activation = str(getattr(settings, "hidden_act", "gelu"))
        self._has_segments = int(getattr(settings, "type_vocab_size", 0)) >= 2
        if freeze_embeddings:
            for parameter in backbone.get_input_embeddings().parameters():  # type: ignore[operator]
                parameter.requires_grad_(False)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def word_embeddings(self) -> Tensor:
        """The V x H table that a masked-token head shares."""
        table: Tensor = self.backbone.get_input_embeddings().weight  # type: ignore[operator]
        return table

    def _choose_attention(self, num_tokens: int) -> None:
        """For short rows on a CPU, plain matrix products beat the fused kernel's backward (docs/lab-log.md)."""
        plain = self.device.type == "cpu" and num_tokens <= _PLAIN_ATTENTION_TOKENS
        self.backbone.config._attn_implementation = "eager" if plain else "sdpa"  # type: ignore[union-attr]

    def chunks(self, rows: Sequence[Row], max_rows: int = 32) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """Yield (indices into `rows`, hidden n x T x H, mask n x T), short rows first, padded to a chunk's longest."""
        for indices in chunks_by_length([len(row) for row in rows], max_rows):
            ids, real, segments = pad([rows[index] for index in indices], self.pad_id)
            real_nT = torch.from_numpy(real).to(self.device)
            yield indices, self(torch.from_numpy(ids).to(self.device), real_nT, torch.from_numpy(segments)), real_nT

    def forward(self, id_nT: Tensor, real_nT: Tensor, segment_nT: Tensor) -> Tensor:
        """Hidden states n x T x H of padded rows, as `pad` gives them."""
        self._choose_attention(id_nT.shape[1])
        inputs = {"input_ids": id_nT, "attention_mask": real_nT.long()}
        if self._has_segments:
            inputs["token_type_ids"] = segment_nT.to(self.device)
        hidden_nTH: Tensor = self.backbone(**inputs).last_hidden_state
        return hidden_nTH


def wide(tensor: Tensor) -> Tensor:
    """At least float32, for sums and softmaxes that bfloat16 would spoil; float64 stays."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def in_order(parts: Sequence[Tensor], indices: Sequence[int]) -> Tensor:
    """Concatenate chunk outputs and put them back into the order of the rows they came from."""
    inverse = torch.empty(len(indices), dtype=torch.long)
    inverse[torch.tensor(indices, dtype=torch.long)] = torch.arange(len(indices))
    whole = torch.cat(list(parts))
    return whole[inverse.to(whole.device)]
