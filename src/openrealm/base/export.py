"""Exports a trained base encoder to a folder for `transformers` and openrealm, with a model card."""

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

# By prefix of the source's name.
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
    """The figures of the model card as JSON values."""
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
    """The encoder that the weights were initialised from: its name and, if it has a manifest, how it was trained."""
    if start is None:
        return None
    location = Path(backbone_location(start))
    if not (location / files.MANIFEST).is_file():
        return {"name": start}
    manifest = files.read_manifest(location)
    known = manifest.get("figures", {})
    return {"name": manifest.get("name", start)} | {key: known[key] for key in _FIGURES_OF_START if key in known}


def card(name: str, figures: dict[str, Any]) -> str:
    """The model card, in Markdown."""
    shape, held = figures["shape"], figures["heldout"]
    parts = [
        f"# {name}",
        f"A small uncased BERT for openrealm: {shape['num_layers']} layers of {shape['hidden_size']}, "
        f"{shape['num_heads']} heads, {figures['vocab_size']:,} word pieces, {figures['parameters']:,} weights in half "
        "precision. It fills in masks, with or without a passage (`[CLS] query [SEP] title [SEP] passage [SEP]`), and "
        "computes retrieval vectors: the mean of the last hidden states times `retrieval_projection.weight`, scaled "
        f"to unit length, in {shape['projection_dim']} dimensions.",
        "## Data",
        "\n".join(f"* {_licence(source['name'])}: {source['passages']:,} passages" for source in figures["sources"]),
        "Weights trained on text under a share-alike licence are distributed under CC BY-SA 4.0.",
        "## Training",
        f"{figures['steps']:,} steps, {figures['tokens']:,} word pieces, {clock(figures['seconds'])} minutes on "
        f"{figures['num_devices']} x {figures['device']}, {figures['precision']}, seed {figures['seed']}, commit "
        f"{figures['commit']}.{_initialisation(figures['start'])} "
        "Whole words, names and dates are masked; some queries are read with their own passage, with another "
        "passage that contains the masked name (which is often replaced in both), or with a random passage. The "
        "Inverse Cloze Task trains the vectors in the same steps." + _distillation(figures["teacher"]),
        "## Figures",
        f"{held.get('num_queries', 0)} queries from held-out articles, each with one masked name or date: top-1 "
        "accuracy and loss (nats) per word piece.",
        "\n".join(["| read | top-1 | loss |", "|---|---|---|", *_rows(held)]),
        "## Limits",
        "English, mostly encyclopaedic. It is too small to memorise much; its predictions may be wrong, and reflect "
        f"the biases of its text. Inputs have at most {shape['max_positions']} word pieces; few in training had more "
        "than 200.",
    ]
    if "ict_accuracy" in held:
        share = f"{100 * held['ict_accuracy']:.1f} %"
        parts.insert(
            -2, f"{share} of as many held-out sentences retrieve their own passage from those of all these sentences."
        )
    return "\n\n".join(part if part.startswith(("|", "*")) else textwrap.fill(part, 120) for part in parts) + "\n"


def _initialisation(start: dict[str, Any] | None) -> str:
    if start is None:
        return ""
    if "steps" not in start:
        return f" The weights were initialised from {start['name']}."
    return (
        f" The weights were initialised from an encoder of {start['steps']:,} steps, {start['tokens']:,} word pieces, "
        f"{clock(start['seconds'])} minutes, commit {start['commit']}."
    )


def _distillation(teacher: dict[str, Any] | None) -> str:
    if teacher is None:
        return ""
    known = _TEACHERS.get(teacher["name"], f"{teacher['name']}, licence not stated")
    return (
        f" The vectors also learn the similarities of {teacher['texts']:,} short texts according to {known}; none of "
        "its weights are included."
    )


def _rows(held: dict[str, Any]) -> list[str]:
    return [
        f"| {words} | {100 * held[f'accuracy_{key}']:.1f} % | {held[f'loss_{key}']:.2f} |"
        for key, words in _READINGS.items()
        if f"accuracy_{key}" in held
    ]


_FIGURES_OF_START = ("steps", "tokens", "seconds", "commit")
_TEACHERS = {"minilm": "all-MiniLM-L6-v2 (Apache-2.0), trained on a billion pairs of texts"}
_READINGS = {
    "alone": "without a passage",
    "unrelated": "with a random passage",
    "related": "with another passage that contains the name",
    "own": "with its own passage",
}


def _licence(name: str) -> str:
    return next((words for start, words in _LICENCES.items() if name.startswith(start)), f"{name}, licence not stated")
