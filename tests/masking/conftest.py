"""A small WordPiece vocabulary of our own, written the way BERT keeps it, so that no test needs a download."""

from __future__ import annotations

import string
from pathlib import Path

import pytest

from openrealm.text.tokenizer import Tokenizer

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = string.ascii_lowercase + string.digits
WORDS = "the of and in is was lima peru capital bolivia chile river city born on may 1821 2008 country south".split()  # noqa: SIM905


@pytest.fixture(scope="session")
def vocabulary_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with vocab.txt: every ASCII character by itself, as a continuation, and a few words."""
    folder = tmp_path_factory.mktemp("vocabulary")
    pieces = [*SPECIALS, *WORDS, *LETTERS, *string.punctuation, *(f"##{c}" for c in LETTERS), "##ing", "##s"]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tokenizer(vocabulary_folder: Path) -> Tokenizer:
    return Tokenizer.from_folder(vocabulary_folder)
