"""Exports a tokenizer to the files that `transformers` reads."""

from __future__ import annotations

import json
from pathlib import Path

from openrealm.files import write_json
from openrealm.text.tokenizer import TOKENIZER_FILE, Tokenizer


def save_for_transformers(tokenizer: Tokenizer, folder: str | Path, max_tokens: int) -> None:
    """Write tokenizer.json, which adds BERT's special tokens to each text, and tokenizer_config.json into `folder`."""
    folder = Path(folder)
    tokenizer.save(folder)
    spec = json.loads((folder / TOKENIZER_FILE).read_text(encoding="utf-8"))
    ids = {"cls": tokenizer.cls_id, "sep": tokenizer.sep_id, "mask": tokenizer.mask_id, "pad": tokenizer.pad_id}
    names = {role: tokenizer.token(i) for role, i in {**ids, "unk": tokenizer.unk_id}.items()}
    spec["post_processor"] = {
        "type": "BertProcessing",
        **{role: [names[role], ids[role]] for role in ("cls", "sep")},
    }
    write_json(folder / TOKENIZER_FILE, spec)
    special = {f"{role}_token": name for role, name in names.items()}
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": max_tokens}
    write_json(folder / "tokenizer_config.json", {**special, **kind})
