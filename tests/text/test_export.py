"""A saved tokenizer as `transformers` reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from openrealm.text.export import save_for_transformers
from openrealm.text.tokenizer import Tokenizer


def test_transformers_reads_it_with_special_tokens_around(tokenizer: Tokenizer, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    save_for_transformers(tokenizer, tmp_path, 64)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    text = "Lima is the capital"
    plain = tokenizer.encode(text)[0]
    assert theirs(text)["input_ids"] == [tokenizer.cls_id, *plain, tokenizer.sep_id]
    assert theirs.model_max_length == 64
    assert theirs.mask_token_id == tokenizer.mask_id
    assert Tokenizer.from_folder(tmp_path).encode(text)[0] == plain
