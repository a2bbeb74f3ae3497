"""The tokenizer: ids with character offsets, and no text that is encoded as a special token."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding
from tokenizers import Tokenizer as _Backend

from openrealm.errors import BadInput, MissingStage
from openrealm.files import digest_of, write_text
from openrealm.text.chunks import ChunkMemory, Rows
from openrealm.text.numbering import Numbers
from openrealm.text.surrogates import without_surrogates

TOKENIZER_FILE = "tokenizer.json"
VOCABULARY_FILE = "vocab.txt"

TokenRow = tuple[list[int], list[tuple[int, int]]]

_SPECIAL_NAMES = {
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "mask": ("[MASK]", "<mask>"),
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
}


class Tokenizer:
    """A vocabulary with its splitting rules.

    Encoding never truncates, pads or adds special tokens, and treats "[SEP]" in a text as ordinary text: special ids
    come only from the code that packs model inputs. Two tokenizers with the same `digest` encode identically.
    `cuts_at_spaces` means that a text cut at any of `chunks.SPACES` has the tokens of its parts.

    >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "lima", "is", "a", "city", "cit", "##ies"]
    >>> tokenizer = Tokenizer.from_words(words)
    >>> ids, offsets = tokenizer.encode("Lima is a city")
    >>> ids, offsets
    ([5, 6, 7, 8], [(0, 4), (5, 7), (8, 9), (10, 14)])
    >>> tokenizer.decode([9, 10])
    'cities'
    """

    def __init__(self, spec: dict[str, Any], where: str = "tokenizer") -> None:
        """`spec` is the content of a tokenizer.json; raises BadInput naming `where` if it is not usable."""
        self._spec = {**spec, "truncation": None, "padding": None}
        self._whole = _backend(self._spec, where)
        self._plain = _backend({**self._spec, "added_tokens": [], "post_processor": None}, where)
        self.digest: str = digest_of(self._spec)
        self.vocab_size: int = max(self._whole.get_vocab(with_added_tokens=True).values()) + 1
        ids = {role: self._special_id(role, names, where) for role, names in _SPECIAL_NAMES.items()}
        self.cls_id, self.sep_id, self.mask_id = ids["cls"], ids["sep"], ids["mask"]
        self.pad_id, self.unk_id = ids["pad"], ids["unk"]
        added = {entry["id"] for entry in self._spec.get("added_tokens", ()) if entry.get("special")}
        self._special_ids = frozenset((added | set(ids.values())) - {self.unk_id})
        self.cuts_at_spaces: bool = _is_bert(self._spec)
        self._chunks = ChunkMemory(lambda text: _as_arrays(self.encode(text)))

    @staticmethod
    def from_folder(folder: str | Path) -> Tokenizer:
        """Read tokenizer.json, or vocab.txt as uncased BERT word pieces.

        Raises MissingStage if the folder holds neither, BadInput if the file cannot be parsed.
        """
        folder = Path(folder)
        path = folder / TOKENIZER_FILE
        if path.is_file():
            return Tokenizer(_read_spec(path), str(path))
        if (folder / VOCABULARY_FILE).is_file():
            vocabulary = _read_vocabulary(folder / VOCABULARY_FILE)
            return Tokenizer(_word_piece_spec(vocabulary), str(folder / VOCABULARY_FILE))
        raise MissingStage(
            f"{folder} contains neither {TOKENIZER_FILE} nor {VOCABULARY_FILE}; give a folder with one of them."
        )

    @staticmethod
    def from_words(words: Sequence[str], where: str = "vocabulary") -> Tokenizer:
        """An uncased BERT WordPiece tokenizer with the vocabulary `words`; the id of a word is its position."""
        return Tokenizer(_word_piece_spec({word: i for i, word in enumerate(words)}), where)

    def encode(self, text: str) -> TokenRow:
        """Token ids of `text` without special tokens, and the half-open character range of each token in `text`."""
        return self._row(self._plain.encode(without_surrogates(text), add_special_tokens=False))

    def encode_batch(self, texts: Sequence[str]) -> list[TokenRow]:
        """`encode` of every text."""
        encodings = self._plain.encode_batch([without_surrogates(text) for text in texts], add_special_tokens=False)
        return [self._row(encoding) for encoding in encodings]

    def encode_rows(self, texts: Sequence[str]) -> Rows:
        """`encode` of every text as flat arrays of ids and ranges: several times faster for BERT's rules."""
        if self.cuts_at_spaces:
            return self._chunks.rows([without_surrogates(text) for text in texts])
        rows = [_as_arrays(row) for row in self.encode_batch(texts)]
        ids, offsets = (np.concatenate(column) for column in zip(*rows, strict=True)) if rows else _as_arrays(([], []))
        return Rows(ids, offsets, np.cumsum([len(row) for row, _ in rows], dtype=np.int64))

    def decode(self, ids: Iterable[int]) -> str:
        """Text of `ids`, with the names of special tokens."""
        return str(self._whole.decode([int(i) for i in ids], skip_special_tokens=False))

    def token(self, token_id: int) -> str:
        """The vocabulary entry of an id; raises BadInput if there is no such id."""
        token = self._whole.id_to_token(int(token_id))
        if token is None:
            raise BadInput(f"Token id {token_id} is not in the vocabulary; ids range from 0 to {self.vocab_size - 1}.")
        return str(token)

    def continuations(self) -> list[int]:
        """Ids of the word pieces that continue a word, such as "##ing"."""
        vocabulary = self._whole.get_vocab(with_added_tokens=True)
        return sorted(token_id for token, token_id in vocabulary.items() if token.startswith("##"))

    def save(self, folder: str | Path) -> None:
        """Write tokenizer.json into `folder` atomically; `from_folder` restores the same digest."""
        write_text(Path(folder) / TOKENIZER_FILE, json.dumps(self._spec, ensure_ascii=False) + "\n")

    def _row(self, encoding: Encoding) -> TokenRow:
        ids = encoding.ids
        if not self._special_ids.isdisjoint(ids):
            ids = [self.unk_id if i in self._special_ids else i for i in ids]
        return ids, encoding.offsets

    def _special_id(self, role: str, names: tuple[str, ...], where: str) -> int:
        for name in names:
            if (token_id := self._whole.token_to_id(name)) is not None:
                return int(token_id)
        raise BadInput(
            f"{where}: the vocabulary has no {role} token (looked for {' and '.join(names)}); use a BERT tokenizer."
        )


def _as_arrays(row: TokenRow) -> tuple[Numbers, Numbers]:
    """Ids (n,) and offsets (n, 2)."""
    ids, offsets = row
    flat = np.fromiter(chain.from_iterable(offsets), np.int64, 2 * len(offsets))
    return np.array(ids, dtype=np.int64), flat.reshape(-1, 2)


def _is_bert(spec: dict[str, Any]) -> bool:
    """Whether the rules are BERT's, which split at SPACES before anything else."""
    kinds = [(spec.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model")]
    return kinds == ["BertNormalizer", "BertPreTokenizer", "WordPiece"]


def _backend(spec: dict[str, Any], where: str) -> _Backend:
    try:
        return _Backend.from_str(json.dumps(spec))
    except MemoryError:
        raise
    except Exception as error:  # the library raises plain Exception for every malformed description
        raise BadInput(
            f"{where} is not a tokenizer description ({error}); give the tokenizer.json of a BERT model."
        ) from error


def _read_spec(path: Path) -> dict[str, Any]:
    try:
        spec = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not valid JSON ({error}); download the tokenizer again.") from error
    if not isinstance(spec, dict):
        raise BadInput(f"{path} contains a {type(spec).__name__}, not a tokenizer; download the tokenizer again.")
    return spec


def _read_vocabulary(path: Path) -> dict[str, int]:
    """The words of a vocab.txt, one per line; the id is the line number."""
    try:
        words = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text (byte {error.start}); download the vocabulary again.") from error
    return {word.rstrip("\r"): i for i, word in enumerate(words) if word.strip()}


def _word_piece_spec(vocabulary: dict[str, int]) -> dict[str, Any]:
    """The specification of an uncased BERT WordPiece tokenizer with these words and ids."""
    spec = copy.deepcopy(_UNCASED_BERT)
    spec["model"]["vocab"] = vocabulary
    spec["added_tokens"] = [_added(vocabulary[n[0]], n[0]) for n in _SPECIAL_NAMES.values() if n[0] in vocabulary]
    return spec


def _added(token_id: int, content: str) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": token_id, "content": content, **flags, "special": True}


_UNCASED_BERT: dict[str, Any] = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": True,
    },
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": None,
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    "model": {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {},
    },
}
