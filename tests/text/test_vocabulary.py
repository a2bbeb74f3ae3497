"""A vocabulary learnt from text: its size and order, that it is the same in another process, and what it leaves out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from openrealm.errors import BadConfig, BadInput
from openrealm.text.tokenizer import Tokenizer
from openrealm.text.vocabulary import SPECIALS, train_vocabulary

TEXTS = [
    "Lima is the capital of Peru, and the largest city of Peru.",
    "La Paz is the seat of the government of Bolivia; Sucre is its capital.",
    "The Amazon river runs through Peru, Colombia and Brazil. It is the largest river.",
] * 20


def test_special_tokens_come_first_and_the_size_is_kept() -> None:
    tokenizer = train_vocabulary(TEXTS, 120)
    assert [tokenizer.token(i) for i in range(5)] == list(SPECIALS)
    assert tokenizer.vocab_size == 120
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id) == (0, 1, 2)
    assert (tokenizer.sep_id, tokenizer.mask_id) == (3, 4)


def test_common_words_become_one_piece_and_any_word_of_known_letters_can_be_written() -> None:
    tokenizer = train_vocabulary(TEXTS, 150)
    assert [tokenizer.token(i) for i in tokenizer.encode("Peru the LARGEST")[0]] == ["peru", "the", "largest"]
    pieces = [tokenizer.token(i) for i in tokenizer.encode("Paraguay")[0]]
    assert len(pieces) > 1
    assert "".join(piece.removeprefix("##") for piece in pieces) == "paraguay"


def test_a_rare_letter_beyond_the_alphabet_makes_its_word_unknown() -> None:
    letters = "".join(chr(ord("a") + i) for i in range(25))
    tokenizer = train_vocabulary([*[letters] * 3, "ж"], 100)
    assert tokenizer.encode("ж")[0] == [tokenizer.unk_id]
    assert tokenizer.unk_id not in tokenizer.encode("cab")[0]


def test_the_same_texts_give_the_same_vocabulary_in_every_process() -> None:
    code = f"from openrealm.text.vocabulary import train_vocabulary as train\nprint(train({TEXTS!r}, 140).digest)"
    digests = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(3)
    }
    assert digests == {train_vocabulary(TEXTS, 140).digest}


def test_it_is_kept_and_read_as_any_tokenizer(tmp_path: Path) -> None:
    tokenizer = train_vocabulary(TEXTS, 130)
    tokenizer.save(tmp_path)
    again = Tokenizer.from_folder(tmp_path)
    assert again.digest == tokenizer.digest
    assert again.encode("[SEP] Lima") == tokenizer.encode("[SEP] Lima")
    assert tokenizer.sep_id not in tokenizer.encode("[SEP]")[0]


def test_too_small_a_size_and_no_text_are_refused() -> None:
    with pytest.raises(BadConfig, match="vocabulary size is 99; it must be at least 100"):
        train_vocabulary(TEXTS, 99)
    for texts in ([], ["", " \n"]):
        with pytest.raises(BadInput, match="no text to train a vocabulary on"):
            train_vocabulary(texts, 100)
