"""Tagger plug-in: a token classifier of the transformers library, such as the paper's BERT trained on CoNLL-2003."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from openrealm.errors import BadInput, NotInstalled
from openrealm.masking.dates import date_spans
from openrealm.masking.tagger import KIND_OF_LABEL, resolve
from openrealm.types import Span

_BATCH_TEXTS = 32

# A word's characters and its label, e.g. (0, 4, "B-LOC").
_Word = tuple[int, int, str]


class HuggingFaceTagger:
    """Tags with a token-classification model; a word has the label of its first piece. Dates are found by rule."""

    def __init__(self, model: str) -> None:
        """`model` is a folder or a name; weights come from safetensors only. Raises BadInput when unloadable."""
        try:
            from transformers import AutoModelForTokenClassification, AutoTokenizer
        except ModuleNotFoundError as error:
            raise NotInstalled(
                f'The tagger "hf:{model}" needs transformers and torch; install them with: pip install openrealm.'
            ) from error
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(model, use_fast=True)
            self._model: Any = AutoModelForTokenClassification.from_pretrained(model, use_safetensors=True).eval()
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).split("\n", 1)[0]
            raise BadInput(f'"{model}" cannot be loaded as a token classifier ({reason}); give its folder.') from error
        self.name = f"hf:{model}"

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        """Spans of each text."""
        spans: list[list[Span]] = []
        for first in range(0, len(texts), _BATCH_TEXTS):
            batch = list(texts[first : first + _BATCH_TEXTS])
            words = self._words(batch)
            spans += [resolve([*date_spans(text), *_entities(found)]) for text, found in zip(batch, words, strict=True)]
        return spans

    def _words(self, texts: list[str]) -> list[list[_Word]]:
        """Labelled words of each text; a text longer than the model's window is read in several windows."""
        import torch

        encoded = self._tokenizer(
            texts,
            return_tensors="pt",
            padding=True,
            truncation=True,
            max_length=min(512, self._tokenizer.model_max_length, self._model.config.max_position_embeddings),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        with torch.inference_mode():
            inputs = {name: encoded[name] for name in ("input_ids", "attention_mask")}
            labels = self._model(**inputs).logits.argmax(-1).tolist()
        words: list[list[_Word]] = [[] for _ in texts]
        for window, text_index in enumerate(encoded["overflow_to_sample_mapping"].tolist()):
            offsets = encoded["offset_mapping"][window].tolist()
            words[text_index] += self._window(encoded.word_ids(window), offsets, labels[window])
        return words

    def _window(self, word_ids: list[int | None], offsets: list[list[int]], labels: list[int]) -> Iterator[_Word]:
        pieces = [(w, o, n) for w, o, n in zip(word_ids, offsets, labels, strict=True) if w is not None]
        for _, group in itertools.groupby(pieces, key=lambda piece: piece[0]):
            of_word = list(group)
            yield of_word[0][1][0], of_word[-1][1][1], self._model.config.id2label[of_word[0][2]]


def _entities(words: list[_Word]) -> list[Span]:
    """Runs of words of one label as spans; "B-" opens a new one (both IOB schemes are read)."""
    spans: list[Span] = []
    before = "O"
    for start, end, label in words:
        prefix, _, kind = label.rpartition("-")
        if label != "O":
            if before == kind and prefix != "B":
                spans[-1] = Span(spans[-1].start, end, spans[-1].kind)
            else:
                spans.append(Span(start, end, KIND_OF_LABEL.get(kind, "entity")))
        before = kind
    return spans
