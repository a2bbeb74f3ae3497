"""Salient span masking: one named entity or date of a passage is masked (Guu et al. 2020, Sec. 3.4)."""

from __future__ import annotations

from collections.abc import Collection

from openrealm.corpus.corpus import Corpus

MAX_SPAN_TOKENS = 10
SALIENT_KINDS = ("entity", "date")

TokenSpan = tuple[int, int, str]


def salient_spans(
    corpus: Corpus, i: int, *, kinds: Collection[str] = SALIENT_KINDS, max_tokens: int = MAX_SPAN_TOKENS
) -> list[TokenSpan]:
    """Spans (start, end, kind) of body tokens of passage i that may be masked: of these `kinds`, not too long."""
    return [span for span in corpus.spans(i) if span[2] in kinds and span[1] - span[0] <= max_tokens]


def sentence_around(corpus: Corpus, i: int, start: int, end: int) -> tuple[int, int]:
    """Token range of the sentence of passage i that contains tokens [start, end), or of the sentences that do."""
    touching = [(int(a), int(b)) for a, b in corpus.sentences(i) if a < end and start < b]
    return (touching[0][0], touching[-1][1]) if touching else (start, end)
