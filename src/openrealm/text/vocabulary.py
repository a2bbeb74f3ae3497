"""Trains a vocabulary: uncased WordPiece, learned from text by the `tokenizers` library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer as _Backend
from tokenizers import models, normalizers, pre_tokenizers, trainers

from openrealm.errors import BadConfig, BadInput
from openrealm.text.tokenizer import Tokenizer

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MIN_SIZE = 100
_PIECES_PER_LETTER = 40  # a letter takes two entries, one of them as a continuation


def train_vocabulary(texts: Sequence[str], size: int) -> Tokenizer:
    """A tokenizer with at most `size` word pieces, the five special ones included, learned from `texts`.

    The same texts give the same vocabulary. Only the `size` / 40 most common letters are included: a word with any
    other letter is unknown.
    Raises BadConfig if `size` is less than MIN_SIZE, BadInput if there is no text.
    """
    if size < MIN_SIZE:
        raise BadConfig(f"The vocabulary size is {size}; it must be at least {MIN_SIZE}.")
    normalizer = normalizers.BertNormalizer(lowercase=True)
    letters = _most_common_letters(texts, normalizer, max(MIN_SIZE // 4, size // _PIECES_PER_LETTER))
    if not letters:
        raise BadInput("The source contains no text to train a vocabulary on; choose a source with articles.")
    # The library's type stubs are too narrow.
    make_model: Any = models.WordPiece
    make_trainer: Any = trainers.WordPieceTrainer
    backend: Any = _Backend(make_model(unk_token=SPECIALS[1]))
    backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = make_trainer(
        vocab_size=size,
        initial_alphabet=letters,
        limit_alphabet=len(letters),
        # The library numbers continuations in the order of its hash table and breaks ties by number; listed here,
        # they get the same numbers every time.
        special_tokens=[*SPECIALS, *(f"##{letter}" for letter in letters)],
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    ids: dict[str, int] = backend.get_vocab()
    return Tokenizer.from_words(sorted(ids, key=ids.__getitem__))


def _most_common_letters(texts: Sequence[str], normalizer: Any, num_letters: int) -> list[str]:
    """The most common letters, digits and signs, sorted."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(normalizer.normalize_str(text))
    visible = [(-count, letter) for letter, count in counts.items() if not letter.isspace()]
    return sorted(letter for _, letter in sorted(visible)[:num_letters])
