"""Corpus passages laid out as encoder rows; number -1 is the null passage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from openrealm.corpus.corpus import Corpus
from openrealm.text.pack import Row, Specials, pack_joint, pack_passage, pack_query

NULL = -1
Tokens = Sequence[int] | npt.NDArray[Any]


class Layout:
    """Rows for towers and readers from passage numbers."""

    def __init__(self, corpus: Corpus, *, title_in_joint: bool) -> None:
        tokenizer = corpus.tokenizer()
        self.corpus = corpus
        self.specials = Specials.of(tokenizer)
        self.max_passage_tokens = int(corpus.settings["max_passage_tokens"]) + 3
        self._title_in_joint = title_in_joint

    def query(self, tokens: Tokens, max_tokens: int) -> Row:
        """`[CLS] x [SEP]`."""
        return pack_query(tokens, self.specials, max_tokens)

    def body(self, passage: int) -> npt.NDArray[np.int64]:
        """Word pieces of a passage's body; none for the null passage."""
        if passage == NULL:
            return np.zeros(0, dtype=np.int64)
        return np.asarray(self.corpus.body_tokens(passage), dtype=np.int64)

    def passage(self, passage: int) -> Row:
        """`[CLS] title [SEP] body [SEP]`."""
        title = () if passage == NULL else np.asarray(self.corpus.title_tokens(passage), dtype=np.int64)
        return pack_passage(title, self.body(passage), self.specials, self.max_passage_tokens)

    def joint(self, query: Tokens, passage: int, max_tokens: int) -> tuple[Row, int]:
        """`[CLS] x [SEP] body [SEP]` and where the body starts."""
        with_title = self._title_in_joint and passage != NULL
        title = np.asarray(self.corpus.title_tokens(passage), dtype=np.int64) if with_title else ()
        return pack_joint(query, self.body(passage), self.specials, max_tokens, title)
