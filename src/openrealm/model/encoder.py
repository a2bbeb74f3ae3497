"""BERT-like encoders by name or folder, applied to rows of unequal length with little padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from openrealm import pretrained
from openrealm.errors import BadConfig, BadInput, OpenRealmError
from openrealm.model.weights import backbone_location, max_row_tokens
from openrealm.text.pack import Row, chunks_by_length, pad

# Longest rows for which unfused attention is faster on a CPU.
_PLAIN_ATTENTION_TOKENS = 160


def load_backbone(name: str, *, num_layers: int | None = None, dropout: float = 0.1) -> nn.Module:
    """The encoder `name` (see `backbone_location`) without its pooler.

    num_layers  keep only the first layers; None keeps all
    dropout     dropout rate of hidden states and attention
    Raises BadConfig if it could not be loaded or has fewer layers.
    """
    from transformers import MODEL_MAPPING

    folder = Path(backbone_location(name))
    try:
        settings = pretrained.settings_of(folder)
        _adjust(settings, num_layers, dropout)
        model = pretrained.load(MODEL_MAPPING, folder, settings, attention="sdpa")
    except BadConfig:
        raise
    except OpenRealmError as error:
        raise BadConfig(
            f"model.backbone: {name} could not be loaded ({str(error).rstrip('.')}); give a folder with config.json "
            "and model.safetensors, a reachable hub id, 'openrealm-mini' or 'minilm'."
        ) from error
    return _without_pooler(model.float())  # train in full precision, even if stored in half


def backbone_from_config(settings: dict[str, Any]) -> nn.Module:
    """The architecture described by a stored config, with random weights."""
    from transformers import AutoModel

    config = pretrained.settings_from(settings, "the stored configuration of the encoder")
    model = AutoModel.from_config(config, attn_implementation="sdpa", trust_remote_code=False)  # type: ignore[no-untyped-call]
    return _without_pooler(model)


def _adjust(settings: Any, num_layers: int | None, dropout: float) -> None:
    if num_layers is not None:
        if not 0 < num_layers <= settings.num_hidden_layers:
            raise BadConfig(
                f"model.num_layers is {num_layers}, but the backbone has {settings.num_hidden_layers} layers; "
                "expected at least 1 and at most that many."
            )
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
    """Computes hidden states of rows of unequal length, chunk by chunk."""

    def __init__(self, backbone: nn.Module, pad_id: int, *, freeze_embeddings: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.pad_id = pad_id
        settings: Any = backbone.config
        self.hidden_size = int(settings.hidden_size)
        self.activation = str(getattr(settings, "hidden_act", "gelu"))
        self.max_tokens = max_row_tokens(settings.to_dict(), pad_id)
        self._is_bert = settings.model_type == "bert"  # which takes a mask as it is
        self.has_segments = int(getattr(settings, "type_vocab_size", 0)) >= 2
        if freeze_embeddings:
            for parameter in backbone.get_input_embeddings().parameters():  # type: ignore[operator]
                parameter.requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def word_embeddings(self) -> Tensor:
        """The V x H embedding matrix, shared with the masked-token head."""
        table: Tensor = self.backbone.get_input_embeddings().weight  # type: ignore[operator]
        return table

    def _choose_attention(self, num_tokens: int) -> bool:
        """Use plain matrix products for short rows on a CPU, where the fused kernel is slower (docs/lab-log.md)."""
        plain = self.device.type == "cpu" and num_tokens <= _PLAIN_ATTENTION_TOKENS
        self.backbone.config._attn_implementation = "eager" if plain else "sdpa"  # type: ignore[union-attr]
        return plain

    def chunks(self, rows: Sequence[Row], max_rows: int = 32) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """Yield (indices into `rows`, hidden states n x T x H, mask n x T) of chunks of up to `max_rows` rows.

        Short rows come first; T is the longest row of a chunk, and the mask is False for padding.
        """
        for indices in chunks_by_length([len(row) for row in rows], max_rows):
            ids, real, segments = pad([rows[index] for index in indices], self.pad_id)
            real_nT = torch.from_numpy(real).to(self.device)
            yield indices, self(torch.from_numpy(ids).to(self.device), real_nT, torch.from_numpy(segments)), real_nT

    def forward(self, id_nT: Tensor, real_nT: Tensor, segment_nT: Tensor) -> Tensor:
        """Hidden states n x T x H of padded rows, as returned by `pad`.

        Raises BadInput if they are longer than the encoder has positions for.
        """
        if id_nT.shape[1] > self.max_tokens:
            raise BadInput(
                f"A row has {id_nT.shape[1]} word pieces, but the encoder reads at most {self.max_tokens}; cut the "
                "corpus into shorter passages (corpus.max_passage_tokens), or give shorter texts."
            )
        plain = self._choose_attention(id_nT.shape[1])
        # Added to bf16 scores, a mask in float32 would turn the softmax and its gradient to float32: a third slower.
        bf16 = plain and self._is_bert and torch.is_autocast_enabled("cpu")
        inputs = {"input_ids": id_nT, "attention_mask": _bf16_mask(real_nT) if bf16 else real_nT.long()}
        if self.has_segments:
            inputs["token_type_ids"] = segment_nT.to(self.device)
        hidden_nTH: Tensor = self.backbone(**inputs).last_hidden_state
        return hidden_nTH


def _bf16_mask(real_nT: Tensor) -> Tensor:
    """What attention adds to its scores, n x 1 x 1 x T: 0, and for padding so little that its weight is 0."""
    zero_nT = torch.zeros(real_nT.shape, dtype=torch.bfloat16, device=real_nT.device)
    return zero_nT.masked_fill(~real_nT, torch.finfo(torch.bfloat16).min)[:, None, None, :]


def wide(tensor: Tensor) -> Tensor:
    """`tensor` in at least float32, for sums and softmaxes that need more precision than bfloat16."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def in_order(parts: Sequence[Tensor], indices: Sequence[int]) -> Tensor:
    """Concatenate the outputs of chunks and restore the order of the rows, `indices` being those of the chunks."""
    inverse = torch.empty(len(indices), dtype=torch.long)
    inverse[torch.tensor(indices, dtype=torch.long)] = torch.arange(len(indices))
    whole = torch.cat(list(parts))
    return whole[inverse.to(whole.device)]
