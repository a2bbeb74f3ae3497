"""The parts of gpu.sh: environment, tests, parity with the CPU, embedding, exact search, a joint step, pre-training.

MFU is the share of the measured peak of matrix products that the model's floating point operations reach; these are 6
per weight and token for training, 2 for embedding, and those of attention. Inputs are random rows of the full length.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from openrealm.engine import Engine
    from openrealm.model.reading import JointInputs
    from openrealm.model.realm import Realm

_DIM, _SEED = 128, 0
Figures = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How much is measured: the paper's shapes on a GPU, or something that a CPU does in seconds."""

    layers: int
    hidden: int
    num_embedded: int
    passage_tokens: int
    query_tokens: int
    vectors: tuple[int, ...]
    batch: int
    micro_batch: int
    candidates: int
    steps: int
    matrix: int


SIZES = {
    "full": Size(12, 768, 8192, 288, 96, (1_000_000, 13_350_000), 64, 16, 8, 60, 8192),
    "toy": Size(2, 64, 48, 40, 12, (2_000, 5_000), 4, 2, 3, 3, 256),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=[*PARTS, "summary"])
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.part == "summary":
        for name in PARTS:
            print(f"{name}: {json.dumps(json.loads((given.out / f'{name}.json').read_text()))}")
        return
    figures = PARTS[given.part](SIZES[given.size], given.device)
    print(json.dumps(figures))
    unfinished = given.out.with_suffix(".tmp")
    unfinished.write_text(json.dumps(figures))
    unfinished.replace(given.out)


def environment(size: Size, device: str) -> Figures:
    """Versions, device, and the rates of large matrix products."""
    import torch

    from openrealm.hardware import commit_of_checkout, memory_bytes, processor

    found = {"torch": torch.__version__, "python": sys.version.split()[0], "commit": commit_of_checkout() or "unknown"}
    found |= {"processor": processor(), "memory_gib": round(memory_bytes() / 2**30, 1), "device": device}
    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(device)
        found |= {"gpu": properties.name, "gpu_memory_gib": round(properties.total_memory / 2**30, 1)}
    peaks = {
        "peak_fp32_tflops": peak(size, device, torch.float32),
        "peak_bf16_tflops": peak(size, device, torch.bfloat16),
    }
    return found | peaks


def tests(size: Size, device: str) -> Figures:
    """The tests that need a GPU."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
        + ([] if size is SIZES["full"] else ["tests/bench/test_gpu.py"]),
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 5):  # 5: there is no such test
        raise SystemExit(done.stdout[-3000:])
    return {"last_lines": done.stdout.strip().splitlines()[-2:]}


def parity(size: Size, device: str) -> Figures:
    """Loss and gradients of a joint step on the device, in fp32 and bf16, against fp32 on the CPU."""
    from openrealm.engine import Engine

    small = SIZES["toy"]
    sides = {"cpu": Engine("cpu", False), "fp32": Engine(device, False), "bf16": Engine(device, True)}
    found = {name: loss_and_gradient(small, engine) for name, engine in sides.items()}
    (loss, gradient), figures = found["cpu"], {}
    for name, limit in (("fp32", 1e-4), ("bf16", 1e-2)):
        other_loss, other_gradient = found[name]
        figures[f"{name}_loss"] = abs(other_loss - loss) / abs(loss)
        figures[f"{name}_gradient"] = float((other_gradient - gradient).norm() / gradient.norm())
        if figures[f"{name}_loss"] > limit:
            raise SystemExit(f"The loss in {name} differs by {figures[f'{name}_loss']:.1e} from the CPU's in fp32.")
    if figures["fp32_gradient"] > 1e-3:
        raise SystemExit(f"The gradient in fp32 differs by {figures['fp32_gradient']:.1e} from the CPU's.")
    return figures


def embedding(size: Size, device: str) -> Figures:
    """Passages of full length through the passage tower."""
    import torch

    engine = engine_on(device)
    model = model_of(size).to(engine.device).eval()
    rows = random_rows(model, size.num_embedded, size.passage_tokens)

    @torch.no_grad()
    def run() -> None:
        with engine.autocast():
            for start in range(0, len(rows), 256):
                model.retriever.passage_tower(rows[start : start + 256], max_rows=256)

    seconds = timed(run, device)
    flops = len(rows) * forward_flops(size, size.passage_tokens)
    return {
        "passages_per_second": len(rows) / seconds,
        "tokens": size.passage_tokens,
        "precision": "bf16" if engine.bf16 else "fp32",
        "mfu": flops / seconds / 1e12 / peak(size, device, torch.bfloat16 if engine.bf16 else torch.float32),
    }


def search(size: Size, device: str) -> Figures:
    """Queries per second of exact search over vectors on the device, in batches of 64."""
    import torch

    from openrealm.index.exact import ExactSearcher

    found = {}
    for number in size.vectors:
        generator = torch.Generator(device).manual_seed(_SEED)
        query_BD = torch.randn(64, _DIM, generator=generator, device=device)
        searcher = ExactSearcher(torch.randn(number, _DIM, generator=generator, device=device))
        seconds = timed(functools.partial(searcher.search, query_BD, 8), device)
        found[f"queries_per_second_{number}"] = 64 / seconds
    return found


def joint(size: Size, device: str) -> Figures:
    """A joint step with all queries, candidates and joint inputs at full length."""
    import torch

    from openrealm.train.optimizer import adam

    engine = engine_on(device)
    model = model_of(size).to(engine.device).train()
    optimizer = adam([(model.parameters(), 1e-6)], 0.01)
    parts = [inputs_of(model, size, size.micro_batch, seed) for seed in range(size.batch // size.micro_batch)]

    def step() -> None:
        for inputs in parts:
            with engine.autocast():
                query_BD = model.retriever.encode_query(inputs.query_rows)
                loss = model(inputs, query_BD).marginal_loss().sum() / size.batch
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    seconds = timed(step, device)
    tokens = {size.query_tokens: size.batch, size.passage_tokens: size.batch * size.candidates}
    tokens[size.query_tokens + size.passage_tokens] = size.batch * size.candidates
    flops = 3 * sum(rows * forward_flops(size, length) for length, rows in tokens.items())
    figures = {
        "seconds_per_step": seconds,
        "tokens_per_second": sum(length * rows for length, rows in tokens.items()) / seconds,
        "mfu": flops / seconds / 1e12 / peak(size, device, torch.bfloat16 if engine.bf16 else torch.float32),
        "shape": f"{size.batch} queries x {size.candidates}, {size.query_tokens} + {size.passage_tokens} tokens",
    }
    if device.startswith("cuda"):
        figures["gpu_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
    return figures


def pretraining(size: Size, device: str) -> Figures:
    """Joint pre-training of openrealm-mini on the text that comes with the package, with a refresh of the index."""
    import openrealm as orm
    from openrealm.qed.source import Qed

    engine = engine_on(device)
    with tempfile.TemporaryDirectory(prefix="openrealm-gpu-") as folder:
        articles = list(Qed().articles())[: None if size is SIZES["full"] else 120]
        corpus = orm.Corpus.build(articles, f"{folder}/corpus")
        model = orm.Realm.from_pretrained("openrealm-mini")
        index = orm.Index.build(model, corpus, engine=engine)
        task = orm.tasks.Joint(
            corpus, index, batch_size=size.batch, num_candidates=size.candidates, refresh_steps=max(2, size.steps // 2),
            synchronous_refresh=True, refresh_at_end=False,
        )  # fmt: skip
        trainer = orm.Trainer(model, task, f"{folder}/training", engine=engine, num_steps=size.steps)
        outcome = trainer.train()
    return {
        "steps_per_second": outcome.num_steps / trainer.seconds,
        "tokens_per_second": trainer.num_tokens / trainer.seconds,
        "utility_before": outcome.first["retrieval_utility"],
        "utility_after": outcome.last["retrieval_utility"],
        "refreshes": len(outcome.task["refresh_steps"]),
    }


def engine_on(device: str) -> Engine:
    """The device with the precision that training would choose."""
    from openrealm.config import Config
    from openrealm.engine import engine_for

    return engine_for(Config(device=device))


def model_of(size: Size) -> Realm:
    """Random weights of this size, with the vocabulary of openrealm-mini and no dropout."""
    import torch

    from openrealm.base.model import fresh_backbone
    from openrealm.config import ModelConfig
    from openrealm.model.realm import Realm
    from openrealm.model.weights import tokenizer_of

    tokenizer = tokenizer_of("openrealm-mini")
    torch.manual_seed(_SEED)
    backbone = fresh_backbone(
        num_layers=size.layers,
        hidden_size=size.hidden,
        num_heads=max(2, size.hidden // 64),
        inner_size=4 * size.hidden,
        vocab_size=tokenizer.vocab_size,
        max_positions=512,
        pad_id=tokenizer.pad_id,
    )
    return Realm(ModelConfig(projection_dim=_DIM, dropout=0.0), backbone, tokenizer)


def random_rows(model: Realm, number: int, num_tokens: int, seed: int = _SEED) -> list[Any]:
    """Rows of random word pieces, all of this length."""
    import numpy as np

    from openrealm.text.pack import Row

    ids = np.random.default_rng(seed).integers(1000, model.tokenizer.vocab_size, size=(number, num_tokens))
    return [Row(row, num_tokens // 4) for row in ids]


def inputs_of(model: Realm, size: Size, batch: int, seed: int) -> JointInputs:
    """Inputs of a joint step in which no two queries share a candidate."""
    import torch

    from openrealm.model.reading import JointInputs

    number = batch * size.candidates
    place_BK = torch.arange(number).view(batch, size.candidates)
    return JointInputs(
        query_rows=random_rows(model, batch, size.query_tokens, seed),
        passage_rows=random_rows(model, number, size.passage_tokens, seed),
        place_BK=place_BK,
        valid_BK=torch.ones_like(place_BK, dtype=torch.bool),
        joint_rows=random_rows(model, number, size.query_tokens + size.passage_tokens, seed),
        positions=[[3, 4]] * batch,
        gold=[[1500, 1501]] * batch,
        has_null=False,
    )


def loss_and_gradient(size: Size, engine: Engine) -> tuple[float, torch.Tensor]:
    """The loss of a joint step and its whole gradient in one vector, on the CPU."""
    import torch

    model = model_of(size).to(engine.device).train()
    inputs = inputs_of(model, size, size.batch, _SEED)
    with engine.autocast():
        loss = model(inputs, model.retriever.encode_query(inputs.query_rows)).marginal_loss().mean()
    loss.backward()
    grads = [p.grad.flatten().float().cpu() for p in model.parameters() if p.grad is not None]
    return float(loss.detach()), torch.cat(grads)


def forward_flops(size: Size, num_tokens: int) -> float:
    """Floating point operations of the encoder's matrix products for a row: 12 H^2 weights a layer, and attention."""
    return size.layers * num_tokens * (24.0 * size.hidden**2 + 4.0 * num_tokens * size.hidden)


def peak(size: Size, device: str, dtype: torch.dtype) -> float:
    """Tera floating point operations per second of a product of square matrices."""
    import torch

    left, right = (torch.randn(size.matrix, size.matrix, device=device).to(dtype) for _ in range(2))
    return 2 * size.matrix**3 / timed(lambda: left @ right, device) / 1e12


def timed(run: Callable[[], object], device: str, *, num_rounds: int = 5) -> float:
    """Median seconds of a call, after one that is not counted; the device has finished at the end of each."""
    import torch

    seconds = []
    for _ in range(num_rounds + 1):
        started = time.perf_counter()
        run()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


PARTS: dict[str, Callable[[Size, str], Figures]] = {
    part.__name__: part for part in (environment, tests, parity, embedding, search, joint, pretraining)
}

if __name__ == "__main__":
    main()
