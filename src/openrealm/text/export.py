"""Exports a tokenizer to the files that other libraries read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from openrealm.files import write_json
from openrealm.text.tokenizer import TOKENIZER_FILE, Tokenizer

Text = Literal["query", "passage"]


def save_for_transformers(tokenizer: Tokenizer, folder: str | Path, max_tokens: int, single: Text = "query") -> None:
    """Write tokenizer.json, which adds BERT's special tokens to each text, and tokenizer_config.json into `folder`.

    single  how a text by itself is packed; a pair of texts is a title with its passage
    """
    folder = Path(folder)
    names = {role: tokenizer.token(i) for role, i in _special_ids(tokenizer).items()}
    write_json(folder / TOKENIZER_FILE, {**_spec(tokenizer, folder), "post_processor": _template(tokenizer, single)})
    special = {f"{role}_token": name for role, name in names.items()}
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": max_tokens}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    write_json(folder / "tokenizer_config.json", {**special, **kind, "model_input_names": inputs})


def save_for_tokenizers(tokenizer: Tokenizer, folder: str | Path, max_tokens: int, single: Text) -> None:
    """Write a tokenizer.json into `folder` that packs, cuts and pads texts as openrealm does, for `tokenizers` alone.

    As in openrealm, "[SEP]" in a text is ordinary text.

    max_tokens  longest row with its special tokens; the longer text of a pair is cut first
    single      how a text by itself is packed; a pair of texts is a title with its passage
    """
    folder = Path(folder)
    spec = _spec(tokenizer, folder)
    spec["added_tokens"] = []
    spec["post_processor"] = _template(tokenizer, single)
    spec["truncation"] = {"direction": "Right", "max_length": max_tokens, "strategy": "LongestFirst", "stride": 0}
    spec["padding"] = {
        "strategy": "BatchLongest",
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": tokenizer.pad_id,
        "pad_type_id": 0,
        "pad_token": tokenizer.token(tokenizer.pad_id),
    }
    write_json(folder / TOKENIZER_FILE, spec)


def _spec(tokenizer: Tokenizer, folder: Path) -> dict[str, Any]:
    tokenizer.save(folder)
    spec: dict[str, Any] = json.loads((folder / TOKENIZER_FILE).read_text(encoding="utf-8"))
    return spec


def _special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    return {
        "cls": tokenizer.cls_id,
        "sep": tokenizer.sep_id,
        "mask": tokenizer.mask_id,
        "pad": tokenizer.pad_id,
        "unk": tokenizer.unk_id,
    }


def _template(tokenizer: Tokenizer, single: Text) -> dict[str, Any]:
    """Where special tokens and segments go, as in `text.pack`: a single passage has an empty title."""
    cls, sep = tokenizer.token(tokenizer.cls_id), tokenizer.token(tokenizer.sep_id)

    def special(name: str, segment: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": name, "type_id": segment}}

    def text(name: str, segment: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": segment}}

    query = [special(cls, 0), text("A", 0), special(sep, 0)]
    passage = [special(cls, 0), special(sep, 0), text("A", 1), special(sep, 1)]
    ids = {cls: tokenizer.cls_id, sep: tokenizer.sep_id}
    return {
        "type": "TemplateProcessing",
        "single": query if single == "query" else passage,
        "pair": [*query, text("B", 1), special(sep, 1)],
        "special_tokens": {name: {"id": name, "ids": [i], "tokens": [name]} for name, i in ids.items()},
    }
