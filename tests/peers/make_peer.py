"""Runs in the peer's own environment: Hugging Face's REALM with random weights, its inputs and its outputs, as files.

    .venv-peers/bin/python tests/peers/make_peer.py FOLDER

For every shape FOLDER gets a folder for each of the five models (safetensors), `case.safetensors` with inputs and
outputs, and `case.json` with what is no tensor. openrealm is not needed here, and cannot be: it wants a newer
transformers.
"""

from __future__ import annotations

import json
import random
import string
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import (
    RealmConfig,
    RealmEmbedder,
    RealmForOpenQA,
    RealmKnowledgeAugEncoder,
    RealmReader,
    RealmRetriever,
    RealmScorer,
    RealmTokenizerFast,
)

SHAPES: dict[str, dict[str, Any]] = {
    "small": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
    "wide": {"hidden_size": 96, "num_hidden_layers": 1, "num_attention_heads": 6, "intermediate_size": 200},
    "deep": {"hidden_size": 24, "num_hidden_layers": 5, "num_attention_heads": 3, "intermediate_size": 48},
}
# With few units a span's LayerNorm has few values, and spans tie: then either answer is as right as the other.
HEADS = {
    "small": {"retriever_proj_size": 16, "span_hidden_size": 12, "max_span_width": 4, "num_candidates": 3},
    "wide": {"retriever_proj_size": 128, "span_hidden_size": 256, "max_span_width": 10, "num_candidates": 5},
    "deep": {"retriever_proj_size": 7, "span_hidden_size": 40, "max_span_width": 3, "num_candidates": 2},
}
SYLLABLES = ("ba", "do", "ke", "li", "mu", "ra", "so", "ti")
WORDS = [a + b for a in SYLLABLES for b in SYLLABLES]
NUM_BLOCKS, NUM_SEARCHED, NUM_READ = 40, 12, 4


def vocabulary() -> list[str]:
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return [*specials, *WORDS, *string.ascii_lowercase, *(f"##{c}" for c in string.ascii_lowercase), ".", "?"]


def randomised(model: torch.nn.Module, scale: float = 0.2) -> Any:
    """Every weight and bias away from its neutral start, so that none can be mistaken for another."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            norm = "LayerNorm.weight" in name or "layer_normalization.weight" in name
            parameter.copy_(torch.randn_like(parameter) * scale + (1.0 if norm else 0.0))
    return model.eval()


def rows(rng: np.random.Generator, count: int, longest: int, size: int, first: list[np.ndarray]) -> dict[str, Any]:
    """Padded `[CLS] first [SEP] second [SEP]`, with their attention mask and segments."""
    ids, segments = np.zeros((count, longest), np.int64), np.zeros((count, longest), np.int64)
    real = np.zeros((count, longest), np.int64)
    for n in range(count):
        second = rng.integers(5, size, rng.integers(1, longest - len(first[n]) - 3 + 1))
        row = np.concatenate([[2], first[n], [3], second, [3]])
        ids[n, : len(row)], real[n, : len(row)] = row, 1
        segments[n, len(first[n]) + 2 : len(row)] = 1
    named = {"input_ids": ids, "attention_mask": real, "token_type_ids": segments}
    return {name: torch.from_numpy(value) for name, value in named.items()}


def towers(config: RealmConfig, rng: np.random.Generator, folder: Path) -> dict[str, torch.Tensor]:
    embedder = randomised(RealmEmbedder(config), 0.1)
    scorer = randomised(RealmScorer(config, query_embedder=RealmEmbedder(config)), 0.1)
    embedder.save_pretrained(folder / "embedder", safe_serialization=True)
    scorer.save_pretrained(folder / "scorer", safe_serialization=True)
    num_queries, size = 3, config.vocab_size
    titles = [rng.integers(5, size, rng.integers(0, 4)) for _ in range(num_queries * config.num_candidates)]
    query = rows(rng, num_queries, 14, size, titles[:num_queries])
    passage = rows(rng, len(titles), 30, size, titles)
    stacked = {f"candidate_{name}": t.view(num_queries, config.num_candidates, -1) for name, t in passage.items()}
    scored = scorer(**query, **stacked)
    return {
        **{f"tower_query.{name}": tensor for name, tensor in query.items()},
        **{f"tower_passage.{name}": tensor for name, tensor in passage.items()},
        "embedder.projected": embedder(**passage).projected_score,
        "scorer.query": scored.query_score,
        "scorer.candidate": scored.candidate_score.flatten(0, 1),
        "scorer.relevance": scored.relevance_score,
    }


def encoder(config: RealmConfig, rng: np.random.Generator, folder: Path) -> dict[str, torch.Tensor]:
    model = randomised(RealmKnowledgeAugEncoder(config))
    model.save_pretrained(folder / "encoder", safe_serialization=True)
    num_queries, longest, num_candidates = 3, 40, config.num_candidates
    queries = [rng.integers(5, config.vocab_size, 8) for _ in range(num_queries)]
    labels = torch.full((num_queries, longest), -100)
    for b, query in enumerate(queries):
        for place in rng.choice(8, b + 1, replace=False):  # one, two and three masks
            labels[b, place + 1] = int(query[place])
            query[place] = 4
    joint = rows(
        rng,
        num_queries * num_candidates,
        longest,
        config.vocab_size,
        [q for q in queries for _ in range(num_candidates)],
    )
    relevance = torch.from_numpy(rng.normal(size=(num_queries, num_candidates)).astype(np.float32)) * 3
    stacked = {name: tensor.view(num_queries, num_candidates, -1) for name, tensor in joint.items()}
    out: dict[str, torch.Tensor] = {f"joint.{name}": tensor for name, tensor in joint.items()}
    whole = model(**stacked, relevance_score=relevance, labels=labels, mlm_mask=(labels >= 0).long())
    single = []
    for b in range(num_queries):
        one = {name: tensor[b : b + 1] for name, tensor in stacked.items()}
        chosen = labels[b : b + 1]
        single.append(
            model(**one, relevance_score=relevance[b : b + 1], labels=chosen, mlm_mask=(chosen >= 0).long()).loss
        )
    return out | {
        "joint.relevance": relevance,
        "joint.labels": labels,
        "encoder.logits": whole.logits,
        "encoder.loss": whole.loss[None],
        "encoder.loss_by_query": torch.stack(single),
    }


def reader(config: RealmConfig, rng: np.random.Generator, folder: Path) -> dict[str, torch.Tensor]:
    model = randomised(RealmReader(config))
    model.save_pretrained(folder / "reader", safe_serialization=True)
    question = rng.integers(5, config.vocab_size, 6)
    inputs = rows(rng, NUM_READ, 36, config.vocab_size, [question] * NUM_READ)
    lengths = inputs["attention_mask"].sum(dim=1)
    block = inputs["token_type_ids"].bool()
    block[torch.arange(NUM_READ), lengths - 1] = False  # as their retriever's special-token mask has it
    starts = torch.full((NUM_SEARCHED, 2), -1)
    ends = starts.clone()
    starts[0, 0] = ends[0, 0] = 8
    starts[2, 1], ends[2, 1] = 8, 9
    has = torch.zeros(NUM_SEARCHED, dtype=torch.bool)
    has[[0, 2, 7]] = True
    relevance = torch.from_numpy(rng.normal(size=NUM_SEARCHED).astype(np.float32)) * 3
    spans: list[torch.Tensor] = []
    hook = model.qa_outputs.register_forward_hook(lambda _m, _i, output: spans.extend([output[0].clone(), *output[1:]]))
    made = model(
        **inputs,
        relevance_score=relevance,
        block_mask=block,
        start_positions=starts,
        end_positions=ends,
        has_answers=has,
    )
    hook.remove()
    without = model(
        **inputs,
        relevance_score=relevance,
        block_mask=block,
        start_positions=torch.full_like(starts, -1),
        end_positions=torch.full_like(ends, -1),
        has_answers=torch.zeros_like(has),
    )
    return {
        **{f"reader.{name}": tensor for name, tensor in inputs.items()},
        "reader.relevance": relevance,
        "reader.starts": starts,
        "reader.ends": ends,
        "reader.has_answers": has,
        "reader.span_logits": spans[0],
        "reader.span_starts": spans[1],
        "reader.span_ends": spans[2],
        "reader.losses": torch.stack([made.reader_loss, made.retriever_loss, made.loss]),
        "reader.losses_without_positive": torch.stack([without.reader_loss, without.retriever_loss]),
        "reader.predicted": torch.stack([made.block_idx.view(()), made.start_pos.view(()), made.end_pos.view(())]),
    }


def openqa(config: RealmConfig, folder: Path, seed: int) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    rng = random.Random(seed)
    blocks = [" ".join(rng.choices(WORDS, k=rng.randrange(5, 20))) for _ in range(NUM_BLOCKS)]
    tokenizer = RealmTokenizerFast(str(folder.parent / "vocab.txt"))
    retriever = RealmRetriever(np.array([block.encode() for block in blocks], dtype=object), tokenizer)
    model = randomised(RealmForOpenQA(config, retriever))
    model.block_emb.copy_(
        torch.randn(NUM_BLOCKS, config.retriever_proj_size, generator=torch.Generator().manual_seed(seed))
    )
    model.save_pretrained(folder / "openqa", safe_serialization=True)
    (folder / "openqa" / "blocks.jsonl").write_text("".join(json.dumps({"text": b}) + "\n" for b in blocks))
    model.train()  # all of the early passages are asked for in training alone; there is no dropout
    cases = []
    for number in range(8):
        question = " ".join(rng.choices(WORDS, k=rng.randrange(3, 7))) + "?"
        answer = " ".join(rng.choice(blocks).split()[1 : 2 + number % 2]) if number < 7 else "zz zz zz"
        answer_ids = tokenizer([answer], add_special_tokens=False).input_ids
        ids = tokenizer([question], return_tensors="pt")
        made = model(**ids, answer_ids=answer_ids).reader_output
        predicted = model(**ids, answer_ids=answer_ids).predicted_answer_ids
        cases.append(
            {
                "question": question,
                "answers": [answer],
                "reader_loss": float(made.reader_loss),
                "retriever_loss": float(made.retriever_loss),
                "predicted": tokenizer.decode(predicted),
            }
        )
    return {"openqa.block_emb": model.block_emb}, cases


@torch.no_grad()
def main(folder: Path) -> None:
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    words = vocabulary()
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    for seed, (name, shape) in enumerate(SHAPES.items()):
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        config = RealmConfig(
            vocab_size=len(words),
            max_position_embeddings=80,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            searcher_beam_size=NUM_SEARCHED,
            reader_beam_size=NUM_READ,
            reader_seq_len=64,
            num_block_records=NUM_BLOCKS,
            pad_token_id=0,
            hidden_act="gelu" if name == "wide" else "gelu_new",
            **shape,
            **HEADS[name],
        )
        out = folder / name
        tensors = towers(config, rng, out) | encoder(config, rng, out) | reader(config, rng, out)
        more, cases = openqa(config, out, seed)
        tensors |= more
        save_file({key: tensor.contiguous().clone() for key, tensor in tensors.items()}, out / "case.safetensors")
        (out / "case.json").write_text(json.dumps({"openqa": cases}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
