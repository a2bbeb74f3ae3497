"""Runs in the peer's own environment: what Hugging Face's REALM makes of folders that we wrote.

.venv-peers/bin/python tests/peers/load_peer.py FOLDER INPUTS OUTPUTS
"""

from __future__ import annotations

import json
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    RealmConfig,
    RealmEmbedder,
    RealmForOpenQA,
    RealmKnowledgeAugEncoder,
    RealmReader,
    RealmScorer,
)

MODELS = {
    "embedder": RealmEmbedder,
    "scorer": RealmScorer,
    "encoder": RealmKnowledgeAugEncoder,
    "reader": RealmReader,
    "openqa": RealmForOpenQA,
}


@torch.no_grad()
def main(folder: str, inputs: str, outputs: str) -> None:
    given = load_file(inputs)
    rows = {name: given[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    models, left = {}, {}
    for name, kind in MODELS.items():
        # A scorer has towers apart only when it is given a second one to load into.
        config = RealmConfig.from_pretrained(f"{folder}/{name}")
        apart = {"query_embedder": RealmEmbedder(config)} if name == "scorer" else {}
        model, report = kind.from_pretrained(f"{folder}/{name}", output_loading_info=True, **apart)
        models[name] = model.eval()
        left[name] = {key: sorted(map(str, report[f"{key}_keys"])) for key in ("missing", "unexpected", "mismatched")}
    spans: list[torch.Tensor] = []
    for reader in (models["reader"], models["openqa"].reader):
        reader.qa_outputs.register_forward_hook(lambda _m, _i, out: spans.append(out[0].clone()))
        reader(**rows, relevance_score=torch.zeros(len(rows["input_ids"])), block_mask=given["block_mask"].bool())
    made = {
        "embedder": models["embedder"](**rows).projected_score,
        "scorer_query": models["scorer"].query_embedder(**rows).projected_score,
        "scorer_passage": models["scorer"].embedder(**rows).projected_score,
        "openqa_query": models["openqa"].embedder(**rows).projected_score,
        "encoder": models["encoder"](**rows).logits,
        "reader": spans[0],
        "openqa_reader": spans[1],
        "block_emb": models["openqa"].block_emb,
    }
    save_file({name: tensor.contiguous().clone() for name, tensor in made.items()}, outputs, {"left": json.dumps(left)})


if __name__ == "__main__":
    main(*sys.argv[1:4])
