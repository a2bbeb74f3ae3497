"""A trained base encoder as a folder that `transformers` and openrealm load, with a model card."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openrealm import files
from openrealm.model.weights import backbone_location
from openrealm.progress import clock, say
from openrealm.text.export import save_for_transformers

if TYPE_CHECKING:
    from openrealm.base.task import BaseEncoding
    from openrealm.train.trainer import Trainer

# By the beginning of a source's name; for other sources, the card says that the licence is not stated.
_LICENCES = {
    "simplewiki": "Simple English Wikipedia, CC BY-SA 3.0",
    "wikinews": "English Wikinews, CC BY 2.5",
    "factbook": "CIA World Factbook, public domain",
}


def export(trainer: Trainer, task: BaseEncoding, folder: Path) -> None:
    """Publish weights in half precision, config, tokenizer and model card as `folder`, and print its size."""
    from openrealm.model.heads import head_state

    model, settings, texts = trainer.model, task.settings, task.texts
    backbone: Any = model.encoder.backbone
    weights = {f"bert.{name}": tensor for name, tensor in backbone.state_dict().items()}
    weights |= head_state(model.head, model.tower.projection)
    config = json.loads(backbone.config.to_json_string(use_diff=False))
    config |= {"architectures": ["BertForMaskedLM"], "dtype": "float32"}
    figures = figures_of(trainer, task)
    manifest = {"kind": "base", "name": settings.name, "settings": settings.to_dict(), "figures": figures}
    with files.new_folder(folder, manifest) as out:
        files.write_safetensors(
            out / "model.safetensors", {name: tensor.half() for name, tensor in weights.items()}, {"format": "pt"}
        )
        files.write_json(out / "config.json", config)
        save_for_transformers(texts.tokenizer, out, settings.max_positions)
        files.write_text(out / "README.md", card(settings.name, figures))
    num_bytes = sum(path.stat().st_size for path in folder.iterdir())
    say(f"{settings.name}: {num_bytes / 1e6:.1f} MB in {folder}")


def figures_of(trainer: Trainer, task: BaseEncoding) -> dict[str, Any]:
    """The facts for the card, as plain values."""
    import torch

    from openrealm.hardware import commit_of_checkout, processor
    from openrealm.model.state import unique_state

    engine = trainer.engine
    on_cuda = engine.device.startswith("cuda")
    return {
        "sources": [
            {"name": str(c.manifest["source"].get("name") or c.manifest["source"]["kind"]), "passages": len(c)}
            for c in task.texts.corpora
        ],
        "shape": {
            name: getattr(task.settings, name)
            for name in ("num_layers", "hidden_size", "num_heads", "inner_size", "max_positions", "projection_dim")
        },
        "vocab_size": task.texts.tokenizer.vocab_size,
        "parameters": sum(tensor.numel() for tensor in unique_state(trainer.model).values()),
        "steps": trainer.step,
        "tokens": trainer.num_tokens,
        "seconds": round(trainer.seconds),
        "device": torch.cuda.get_device_name() if on_cuda else f"{processor()}, {torch.get_num_threads()} threads",
        "num_devices": trainer.ranks.num_ranks,
        "precision": "bf16" if engine.bf16 else "fp32",
        "seed": task.settings.seed,
        "commit": commit_of_checkout() or "unknown",
        "start": _start_of(task.settings.start),
        "teacher": task.teacher and {"name": task.settings.teacher, "texts": len(task.teacher)},
        "heldout": trainer.outcome.last,
    }


def _start_of(start: str | None) -> dict[str, Any] | None:
    """The weights that training was initialised from: their name and, if known, how they were made."""
    if start is None:
        return None
    location = Path(backbone_location(start))
    if not (location / files.MANIFEST).is_file():
        return {"name": start}
    manifest = files.read_manifest(location)
    figures = manifest.get("figures", {})
    return {"name": manifest.get("name", start)} | {key: figures[key] for key in _FIGURES_OF_START if key in figures}


def card(name: str, figures: dict[str, Any]) -> str:
    """The model card, in Markdown."""
    shape, held = figures["shape"], figures["heldout"]
    parts = [
        f"# {name}",
        f"A small uncased BERT for openrealm: {shape['num_layers']} layers, hidden size "
        f"{shape['hidden_size']}, {shape['num_heads']} attention heads, {figures['vocab_size']:,} word pieces, "
        f"{figures['parameters']:,} weights in half precision. It fills in masked words, with or without a passage to "
        "read (`[CLS] query [SEP] title [SEP] passage [SEP]`), and computes retrieval vectors: the mean of "
        f"the last hidden states, projected to {shape['projection_dim']} dimensions by "
        "`retrieval_projection.weight` and scaled to length 1.",
        "## Data",
        "\n".join(f"* {_licence(source['name'])}: {source['passages']:,} passages" for source in figures["sources"]),
        "Weights trained on text under a share-alike licence are released under CC BY-SA 4.0.",
        "## Training",
        f"{figures['steps']:,} steps, {figures['tokens']:,} word pieces, {clock(figures['seconds'])} minutes on "
        f"{figures['num_devices']} x {figures['device']}, {figures['precision']}, seed {figures['seed']}, commit "
        f"{figures['commit']}.{_initialisation(figures['start'])} "
        "Whole words, names and dates are masked. Some queries are read with their own passage, some with another "
        "passage that contains the masked name (often replaced in both by a different name), some with a random "
        "passage. The same steps train the vectors on the Inverse Cloze Task." + _distillation(figures["teacher"]),
        "## Figures",
        f"One masked name or date per query, {held.get('num_queries', 0)} queries from held-out articles: the share of "
        "word pieces predicted correctly (top-1), and the loss in nats per word piece.",
        "\n".join(["| context | top-1 | loss |", "|---|---|---|", *_rows(held)]),
        "## Limits",
        "English, mostly encyclopaedic text. The model is too small to memorise many facts; its output may be wrong "
        f"and reflects the biases of its training data. Inputs have at most {shape['max_positions']} word pieces; "
        "few in training had more than 200.",
    ]
    if "ict_accuracy" in held:
        share = f"{100 * held['ict_accuracy']:.1f}%"
        parts.insert(
            -2,
            f"Retrieval: for {share} of as many held-out sentences, the nearest of their passages is the sentence's "
            "own.",
        )
    return (
        "\n\n".join(
            part if part.startswith(("|", "*")) else textwrap.fill(part, 120, break_on_hyphens=False) for part in parts
        )
        + "\n"
    )


def _initialisation(start: dict[str, Any] | None) -> str:
    if start is None:
        return ""
    if "steps" not in start:
        return f" Training was initialised from {start['name']}."
    return (
        f" Training was initialised from weights of {start['steps']:,} steps, {start['tokens']:,} word pieces, "
        f"{clock(start['seconds'])} minutes, commit {start['commit']}."
    )


def _distillation(teacher: dict[str, Any] | None) -> str:
    if teacher is None:
        return ""
    known = _TEACHERS.get(teacher["name"], f"{teacher['name']}, licence not stated")
    return (
        f" The vectors also learn the similarities of {teacher['texts']:,} short texts computed by a teacher, {known}. "
        "The weights contain none of its parameters."
    )


def _rows(held: dict[str, Any]) -> list[str]:
    return [
        f"| {words} | {100 * held[f'accuracy_{key}']:.1f}% | {held[f'loss_{key}']:.2f} |"
        for key, words in _READINGS.items()
        if f"accuracy_{key}" in held
    ]


_FIGURES_OF_START = ("steps", "tokens", "seconds", "commit")
_TEACHERS = {"minilm": "all-MiniLM-L6-v2 (Apache-2.0), which was trained on a billion pairs of texts"}
_READINGS = {
    "alone": "no passage",
    "unrelated": "a random passage",
    "related": "another passage that contains the name",
    "own": "its own passage",
}


def _licence(name: str) -> str:
    return next((words for start, words in _LICENCES.items() if name.startswith(start)), f"{name}, licence not stated")
