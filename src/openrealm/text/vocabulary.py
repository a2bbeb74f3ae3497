"""A vocabulary of one's own: uncased WordPiece, learnt from text by the `tokenizers` library."""

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
_PIECES_PER_LETTER = 40  # a letter takes two places, one as a continuation


def train_vocabulary(texts: Sequence[str], size: int) -> Tokenizer:
    """The tokenizer whose word pieces, at most `size` with the five special ones, cover `texts` best.

    The same texts give the same vocabulary. Letters beyond the commonest `size` / 40 are left out: a word that has
    one is unknown.
    Raises BadConfig where `size` is under MIN_SIZE, BadInput where there is no text.
    """
    if size < MIN_SIZE:
        raise BadConfig(f"A vocabulary of {size} word pieces was asked for; at least {MIN_SIZE} are needed.")
    normalizer = normalizers.BertNormalizer(lowercase=True)
    letters = _commonest_letters(texts, normalizer, max(MIN_SIZE // 4, size // _PIECES_PER_LETTER))
    if not letters:
        raise BadInput("There is no text to learn a vocabulary from; give a source with articles.")
    # The library's own types are looser than what it takes.
    make_model: Any = models.WordPiece
    make_trainer: Any = trainers.WordPieceTrainer
    backend: Any = _Backend(make_model(unk_token=SPECIALS[1]))
    backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = make_trainer(
        vocab_size=size,
        initial_alphabet=letters,
        limit_alphabet=len(letters),
        # The library numbers continuations as its hash table gives them, and breaks ties by number: named here, they
        # have the same numbers each time.
        special_tokens=[*SPECIALS, *(f"##{letter}" for letter in letters)],
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    ids: dict[str, int] = backend.get_vocab()
    return Tokenizer.from_words(sorted(ids, key=ids.__getitem__))


def _commonest_letters(texts: Sequence[str], normalizer: Any, num_letters: int) -> list[str]:
    """The letters, digits and signs that are met most often, sorted."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(normalizer.normalize_str(text))
    visible = [(-count, letter) for letter, count in counts.items() if not letter.isspace()]
    return sorted(letter for _, letter in sorted(visible)[:num_letters])
