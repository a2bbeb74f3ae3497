"""The whole model: retriever, masked-token reader and span reader, with `from_pretrained` and `save_pretrained`."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from openrealm import files
from openrealm.config import Config, ModelConfig
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine, engine_for
from openrealm.errors import MissingStage
from openrealm.model.embedder import embed_corpus
from openrealm.model.encoder import Encoder, backbone_from_config, load_backbone
from openrealm.model.heads import stored_heads, take_head, take_projection
from openrealm.model.reader import Reader
from openrealm.model.reading import JointInputs, Reading, read_jointly
from openrealm.model.retriever import Retriever, Tower
from openrealm.model.span_reader import SpanReader
from openrealm.model.state import load_unique_state, unique_state
from openrealm.model.weights import SHIPPED, backbone_location, shipped_folder
from openrealm.text.pack import Row, Specials, pack_passage, pack_query
from openrealm.text.tokenizer import Tokenizer

_WEIGHTS, _SETTINGS = "model.safetensors", "config.json"
_QUERY_TOWER = "retriever.query_tower."


class Realm(nn.Module):
    """Retriever and readers over one vocabulary. Starts from a backbone; every part has encoder weights of its own."""

    def __init__(
        self, config: ModelConfig, backbone: nn.Module, tokenizer: Tokenizer, max_span_tokens: int = 10
    ) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.specials = Specials.of(tokenizer)
        self.backbone_settings: dict[str, Any] = backbone.config.to_dict()  # type: ignore[operator, union-attr]

        def encoder() -> Encoder:
            return Encoder(copy.deepcopy(backbone), tokenizer.pad_id, freeze_embeddings=config.freeze_embeddings)

        tower = Tower.from_config(encoder(), config)
        self.retriever = Retriever(tower, shared=config.shared_towers, temperature=config.temperature)
        self.reader = Reader(encoder(), tokenizer.vocab_size, norm_eps=config.norm_eps)
        self.span_reader: SpanReader | None = None
        self.max_span_tokens = max_span_tokens
        self.brings_head = False  # whether the masked-token head was trained before

    @classmethod
    def from_backbone(cls, config: ModelConfig, tokenizer: Tokenizer) -> Realm:
        """A fresh model on the encoder that `config.backbone` names.

        A masked-token head that lies beside it is taken too, and a projection where towers pool and project as it does.
        """
        backbone = load_backbone(config.backbone, num_layers=config.num_layers, dropout=config.dropout)
        model = cls(config, backbone, tokenizer)
        stored = stored_heads(backbone_location(config.backbone))
        model.brings_head = take_head(model.reader.head, stored)
        if config.pooling == "mean":
            for tower in (model.retriever.query_tower, model.retriever.passage_tower):
                take_projection(tower.projection, stored)
        return model

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Realm:
        """Read what `save_pretrained` wrote, or weights that this package carries by name; digests checked, no network.

        "openrealm-mini" is a base that was never trained jointly: both towers and the masked-token reader work.
        Raises MissingStage where there is no saved model, DamagedArtefact naming the file.
        """
        from safetensors.torch import load_file

        if folder in SHIPPED:
            return cls._shipped(str(folder))
        folder = Path(folder)
        if not (folder / files.MANIFEST).exists():
            raise MissingStage(f"{folder} holds no saved model; give a folder that `save_pretrained` or a stage wrote.")
        files.read_manifest(folder)
        settings = files.read_json(folder / _SETTINGS)
        tokenizer = Tokenizer.from_folder(folder)
        model = cls(
            ModelConfig(**settings["model"]),
            backbone_from_config(settings["backbone"]),
            tokenizer,
            settings["max_span_tokens"],
        )
        if settings["has_span_reader"]:
            model.add_span_reader()
        weights = load_file(folder / _WEIGHTS)
        if any(name.startswith(_QUERY_TOWER) for name in weights):
            model.retriever.untie()  # fine-tuning gave the query tower weights of its own
        load_unique_state(model, weights, folder / _WEIGHTS)
        return model

    @classmethod
    def _shipped(cls, name: str) -> Realm:
        folder = shipped_folder(name)
        trained = files.read_json(folder / files.MANIFEST)["settings"]
        config = ModelConfig(
            backbone=name,
            pooling="mean",
            projection_dim=trained["projection_dim"],
            shared_towers=True,
            normalize=True,
            temperature=trained["temperature"],
            title_in_joint=True,
        )
        return cls.from_backbone(config, Tokenizer.from_folder(folder)).eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write weights (safetensors), config and tokenizer into a folder that appears whole or not at all."""
        settings = {
            "model": dataclasses.asdict(self.config),
            "backbone": self.backbone_settings,
            "max_span_tokens": self.max_span_tokens,
            "has_span_reader": self.span_reader is not None,
        }
        with files.new_folder(Path(folder), {"kind": "model", "tokenizer_digest": self.tokenizer.digest}) as out:
            files.write_safetensors(out / _WEIGHTS, unique_state(self))
            files.write_json(out / _SETTINGS, settings)
            self.tokenizer.save(out)

    def forward(self, inputs: JointInputs, query_BD: Tensor | None = None) -> Reading:
        """Scores of the candidates by both towers, and the reader's log-probabilities of the masked tokens.

        inputs    queries and candidates as encoder inputs, see `train.candidates.pack_candidates`
        query_BD  query vectors, if they are known already
        """
        return read_jointly(self.retriever, self.reader, inputs, query_BD)

    def embed_corpus(
        self, corpus: Corpus, *, engine: Engine | None = None, progress: Callable[[int], None] | None = None
    ) -> Tensor:
        """Vectors of all passages of `corpus`, N x D, float32, on the CPU: what an `Index` is built from."""
        return embed_corpus(self.retriever.passage_tower, corpus, engine or engine_for(Config()), progress)

    def passage_digest(self) -> str:
        """SHA-256 of the passage tower's weights: what an index is bound to."""
        return self.retriever.passage_tower.digest()

    def add_span_reader(self) -> SpanReader:
        """Attach a span reader whose encoder starts as a copy of the masked-token reader's."""
        encoder, config = copy.deepcopy(self.reader.encoder), self.config
        self.span_reader = SpanReader(encoder, config.span_hidden, self.max_span_tokens, norm_eps=config.span_norm_eps)
        return self.span_reader

    def null_row(self) -> Row:
        """The null passage: `[CLS] [SEP] [SEP]`."""
        return pack_passage((), (), self.specials, 3)

    @torch.inference_mode()
    def embed(self, rows: Sequence[Row], max_rows: int = 64) -> npt.NDArray[np.float32]:
        """E_doc of `rows` as a float32 array, n x D."""
        vectors: npt.NDArray[np.float32] = self.retriever.encode_passage(rows, max_rows).float().cpu().numpy()
        return vectors

    @torch.inference_mode()
    def encode_query(self, texts: Sequence[str], max_tokens: int = 64) -> npt.NDArray[np.float32]:
        """E_in of plain texts as a float32 array, B x D; its product with `encode_passage` is the score f(x, z)."""
        rows = [pack_query(self.tokenizer.encode(text)[0], self.specials, max_tokens) for text in texts]
        vectors: npt.NDArray[np.float32] = self.retriever.encode_query(rows).float().cpu().numpy()
        return vectors

    def encode_passage(self, passages: Sequence[tuple[str, str]], max_tokens: int = 288) -> npt.NDArray[np.float32]:
        """E_doc of (title, text) pairs as a float32 array, N x D."""
        pairs = [(self.tokenizer.encode(title)[0], self.tokenizer.encode(text)[0]) for title, text in passages]
        return self.embed([pack_passage(title, body, self.specials, max_tokens) for title, body in pairs])
