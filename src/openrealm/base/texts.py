"""Several corpora with the same tokenizer as flat arrays in memory, and an index of their salient spans."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from openrealm.corpus.corpus import Corpus
from openrealm.errors import BadInput, Mismatch
from openrealm.masking.salient import SALIENT_KINDS
from openrealm.text.tokenizer import Tokenizer

Ints = npt.NDArray[np.int64]
_MAX_SPAN_TOKENS = 8
_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_NEIGHBOURS, _DRAWN = 2, 4


class Rows:
    """Concatenated rows of unequal length in memory."""

    def __init__(self, parts: Sequence[npt.NDArray[np.integer]], dtype: str) -> None:
        lengths = np.fromiter((len(part) for part in parts), dtype=np.int64, count=len(parts))
        self.starts: Ints = np.concatenate([[0], np.cumsum(lengths)])
        width = parts[0].shape[1:] if parts else ()
        self.values = np.empty((int(self.starts[-1]), *width), dtype=dtype)
        for start, part in zip(self.starts.tolist(), parts, strict=False):
            self.values[start : start + len(part)] = part

    def __getitem__(self, i: int) -> Ints:
        return self.values[self.starts[i] : self.starts[i + 1]].astype(np.int64)


def token_type(tokenizer: Tokenizer) -> str:
    """The smallest numpy type that can represent all token ids of `tokenizer`."""
    return "u2" if tokenizer.vocab_size <= 1 << 16 else "u4"


class Texts:
    """The passages of all corpora, numbered consecutively.

    body, title, sentences, spans  rows by passage; spans are the starts and ends of names and dates
    article_N, group_N             article and group of near-duplicates of each passage; unique across corpora
    is_heldout_N                   whether a passage is held out, because its article or that of a near-duplicate is
    """

    def __init__(self, corpora: Sequence[Corpus], heldout_rate: float, seed: int) -> None:
        """Load the corpora and hold out articles at random, at the rate `heldout_rate`.

        Raises BadInput if there is no corpus, Mismatch if their tokenizers differ.
        """
        if not corpora:
            raise BadInput("There is no corpus to train a base encoder on; provide at least one source.")
        for corpus in corpora:
            if corpus.tokenizer_digest != corpora[0].tokenizer_digest:
                raise Mismatch(
                    f"{corpus.folder} was built with the tokenizer {corpus.tokenizer_digest[:16]}, {corpora[0].folder} "
                    f"with {corpora[0].tokenizer_digest[:16]}; build them with the same vocabulary."
                )
        self.corpora, self.tokenizer = list(corpora), corpora[0].tokenizer()
        places = [(corpus, i) for corpus in corpora for i in range(len(corpus))]
        self.body = Rows([corpus.body_tokens(i) for corpus, i in places], token_type(self.tokenizer))
        self.title = Rows([corpus.title_tokens(i) for corpus, i in places], token_type(self.tokenizer))
        self.sentences = Rows([corpus.sentences(i) for corpus, i in places], "u2")
        self.spans = Rows([_span_rows(corpus.spans(i)) for corpus, i in places], "u2")
        first_passage = np.cumsum([0, *(len(corpus) for corpus in corpora)]).tolist()
        self.first_passage: list[int] = first_passage
        firsts = np.repeat(first_passage[:-1], [len(corpus) for corpus in corpora])
        self.group_N: Ints = firsts + np.concatenate([corpus.groups for corpus in corpora])
        self.article_N: Ints = firsts + np.concatenate([corpus.articles for corpus in corpora])
        self.is_heldout_N = self._held_out(heldout_rate, seed)

    def __len__(self) -> int:
        return len(self.group_N)

    def text(self, i: int, start: int, end: int, *, with_title: bool = False) -> str:
        """Original text of word pieces `start` to `end` (exclusive, at least one) of the body of passage i."""
        number = int(np.searchsorted(self.first_passage, i, side="right")) - 1
        corpus, own = self.corpora[number], i - self.first_passage[number]
        offsets = corpus.token_offsets(own)
        passage = corpus.passage(own)
        found = passage.text[int(offsets[start][0]) : int(offsets[end - 1][1])]
        return f"{passage.title}. {found}" if with_title else found

    def _held_out(self, rate: float, seed: int) -> npt.NDArray[np.bool_]:
        """Passages of articles drawn at random, and their near-duplicates."""
        articles = np.unique(self.article_N)
        drawn = np.random.default_rng([seed, 21]).random(len(articles)) < rate
        is_drawn = np.isin(self.article_N, articles[drawn])
        return np.isin(self.group_N, self.group_N[is_drawn])


def _span_rows(spans: Sequence[tuple[int, int, str]]) -> Ints:
    kept = [(start, end) for start, end, kind in spans if kind in SALIENT_KINDS and end - start <= _MAX_SPAN_TOKENS]
    return np.array(kept, dtype=np.int64).reshape(-1, 2)


class SpanIndex:
    """Finds the passages that contain a salient span, by binary search in sorted hashes of word pieces."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        spans = texts.spans.values
        self.passage_S: Ints = np.repeat(np.arange(len(texts)), np.diff(texts.spans.starts))
        start_S = texts.body.starts[self.passage_S] + spans[:, 0].astype(np.int64)
        hash_S = _hashes(texts.body.values, start_S, (spans[:, 1] - spans[:, 0]).astype(np.int64))
        self._order = np.argsort(hash_S, kind="stable")
        self._hash, self._passage = hash_S[self._order], self.passage_S[self._order]
        counts = np.bincount(texts.body.values, minlength=texts.tokenizer.vocab_size)
        self._rarity_V = np.log((counts.sum() + 1) / (counts + 1)).astype(np.float32)
        self._wanted_V = np.zeros_like(self._rarity_V)

    def drawn(self, rng: np.random.Generator) -> Ints:
        """Word pieces of a span drawn at random from all texts."""
        number = int(rng.integers(len(self.passage_S)))
        start, end = self._texts.spans.values[number].tolist()
        first = int(self._texts.body.starts[self.passage_S[number]])
        return self._texts.body.values[first + start : first + end].astype(np.int64)

    def others(self, passage: int, answer: Ints, rng: np.random.Generator) -> Ints:
        """Up to eight passages outside the group of `passage` that contain `answer` as a salient span.

        Some are the nearest ones, often of the same article, and some are drawn at random.
        """
        key = _hashes(answer, np.zeros(1, dtype=np.int64), np.array([len(answer)]))[0]
        low, high = np.searchsorted(self._hash, key, "left"), np.searchsorted(self._hash, key, "right")
        held = self._passage[low:high]
        if len(held) < 2:
            return np.zeros(0, dtype=np.int64)
        place = int(np.searchsorted(held, passage))
        near = held[max(0, place - _NEIGHBOURS) : place + _NEIGHBOURS + 1]
        found = np.unique(np.concatenate([near, held[rng.integers(len(held), size=_DRAWN)]]))
        elsewhere: Ints = found[self._texts.group_N[found] != self._texts.group_N[passage]]
        return elsewhere

    def closest(self, query: Ints, answer: Ints, passages: Ints) -> int:
        """The one of `passages` that shares the rarest word pieces with `query`, ignoring those of `answer`."""
        self._wanted_V[query] = self._rarity_V[query]
        self._wanted_V[answer] = 0
        shared = [self._wanted_V[np.unique(self._texts.body[int(i)])].sum() for i in passages]
        self._wanted_V[query] = 0
        return int(passages[int(np.argmax(shared))])


def _hashes(tokens: npt.NDArray[np.integer], start_S: Ints, length_S: Ints) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each sequence of tokens, given by its start and length."""
    hash_S = (length_S.astype(np.uint64) + np.uint64(1)) * _HASH_FACTOR
    for offset in range(int(length_S.max(initial=0))):
        inside = offset < length_S
        hash_S[inside] = (hash_S[inside] ^ tokens[start_S[inside] + offset].astype(np.uint64)) * _HASH_FACTOR
        hash_S[inside] ^= hash_S[inside] >> np.uint64(29)
    return hash_S
