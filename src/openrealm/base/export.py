"""A trained base encoder as a folder that `transformers` and openrealm load, with a card that tells its figures."""

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

# By how a source's name begins; what is not known is said to be so.
_LICENCES = {
    "simplewiki": "Simple English Wikipedia, CC BY-SA 3.0",
    "wikinews": "English Wikinews, CC BY 2.5",
    "factbook": "CIA World Factbook, public domain",
}


def export(trainer: Trainer, task: BaseEncoding, folder: Path) -> None:
    """Publish weights in half precision, config, tokenizer and card as `folder`, and say how large it is."""
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
    """What the card tells, as plain values."""
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
    """What the weights were gone on from: their name, and how they were made where they tell it."""
    if start is None:
        return None
    location = Path(backbone_location(start))
    if not (location / files.MANIFEST).is_file():
        return {"name": start}
    manifest = files.read_manifest(location)
    told = manifest.get("figures", {})
    return {"name": manifest.get("name", start)} | {key: told[key] for key in _TOLD_OF_START if key in told}


def card(name: str, figures: dict[str, Any]) -> str:
    """The model card, in Markdown."""
    shape, held = figures["shape"], figures["heldout"]
    parts = [
        f"# {name}",
        f"A small uncased BERT for openrealm: {shape['num_layers']} layers of {shape['hidden_size']}, "
        f"{shape['num_heads']} heads, {figures['vocab_size']:,} word pieces, {figures['parameters']:,} weights in half "
        "precision. It fills in masks, alone or beside a passage (`[CLS] query [SEP] title [SEP] passage [SEP]`), and "
        "gives retrieval vectors: the mean of the last states, times `retrieval_projection.weight`, at length 1, "
        f"{shape['projection_dim']} dimensions.",
        "## Data",
        "\n".join(f"* {_licence(source['name'])}: {source['passages']:,} passages" for source in figures["sources"]),
        "Weights made of text under a share-alike licence are given on under CC BY-SA 4.0.",
        "## Training",
        f"{figures['steps']:,} steps, {figures['tokens']:,} word pieces, {clock(figures['seconds'])} minutes on "
        f"{figures['num_devices']} x {figures['device']}, {figures['precision']}, seed {figures['seed']}, commit "
        f"{figures['commit']}.{_beginnings(figures['start'])} "
        "Whole words, names and dates are masked; a share of the queries stands beside its own "
        "passage, beside another that holds the hidden name (often swapped for a name from elsewhere in both), or "
        "beside any passage. The Inverse Cloze Task trains the vectors in the same steps."
        + _taught(figures["teacher"]),
        "## Figures",
        f"One hidden name or date a query, {held.get('num_queries', 0)} queries out of articles that were not trained "
        "on: word pieces filled in rightly, and nats a word piece.",
        "\n".join(["| read | top-1 | loss |", "|---|---|---|", *_rows(held)]),
        "## Limits",
        "English, mostly encyclopaedic; too small to know much by heart; what it says may be wrong, and carries the "
        f"slant of its text. The longest row has {shape['max_positions']} word pieces; few in training had over 200.",
    ]
    if "ict_accuracy" in held:
        share = f"{100 * held['ict_accuracy']:.1f} %"
        parts.insert(
            -2, f"{share} of as many held-out sentences find the passage they were taken from among all of these."
        )
    return "\n\n".join(part if part.startswith(("|", "*")) else textwrap.fill(part, 120) for part in parts) + "\n"


def _beginnings(start: dict[str, Any] | None) -> str:
    if start is None:
        return ""
    if "steps" not in start:
        return f" They went on from {start['name']}."
    return (
        f" They went on from weights of {start['steps']:,} steps, {start['tokens']:,} word pieces, "
        f"{clock(start['seconds'])} minutes, commit {start['commit']}."
    )


def _taught(teacher: dict[str, Any] | None) -> str:
    if teacher is None:
        return ""
    known = _TEACHERS.get(teacher["name"], f"{teacher['name']}, licence not stated")
    return (
        f" So does a teacher: how alike {teacher['texts']:,} short texts are to {known}. None of its weights are here."
    )


def _rows(held: dict[str, Any]) -> list[str]:
    return [
        f"| {words} | {100 * held[f'accuracy_{key}']:.1f} % | {held[f'loss_{key}']:.2f} |"
        for key, words in _READINGS.items()
        if f"accuracy_{key}" in held
    ]


_TOLD_OF_START = ("steps", "tokens", "seconds", "commit")
_TEACHERS = {"minilm": "all-MiniLM-L6-v2 (Apache-2.0), which learned from a billion pairs of texts"}
_READINGS = {
    "alone": "alone",
    "unrelated": "beside a passage drawn by chance",
    "related": "beside another passage that holds the name",
    "own": "beside its own passage",
}


def _licence(name: str) -> str:
    return next((words for start, words in _LICENCES.items() if name.startswith(start)), f"{name}, licence not stated")
