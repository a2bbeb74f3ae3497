"""The tagger "hf": a token classifier of the transformers library, such as a BERT trained on CoNLL-2003."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from openrealm import hub, pretrained
from openrealm.corpus.tagger import Tagger
from openrealm.errors import BadInput, NotInstalled, OpenRealmError
from openrealm.files import MANIFEST, read_manifest
from openrealm.masking.conll import Run, runs
from openrealm.masking.dates import date_spans
from openrealm.masking.spans import KIND_OF_LABEL, resolve
from openrealm.types import Span

_BATCH_TEXTS = 32

# A word's characters and its label, e.g. (0, 4, "B-LOC").
_Word = tuple[int, int, str]


class HuggingFaceTagger(Tagger):
    """Tags with a token-classification model; a word gets the label of its first piece. Dates are found by rule."""

    def __init__(self, model: str) -> None:
        """`model` is a folder or a hub id; weights are loaded from safetensors only.

        Raises BadInput if it could not be loaded, DamagedArtefact if a folder differs from its manifest.
        """
        try:
            from transformers import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING, AutoTokenizer
        except ModuleNotFoundError as error:
            raise NotInstalled(
                f'The tagger "hf:{model}" needs transformers and torch; install them with: pip install openrealm.'
            ) from error
        folder = Path(model).expanduser()
        if (folder / MANIFEST).exists():
            read_manifest(folder)
        self.name = f"hf:{folder if folder.is_dir() else model}"
        folder = folder if folder.is_dir() or not hub.is_hub_id(model) else hub.download(model)
        try:
            settings = pretrained.settings_of(folder)
            self._model: Any = pretrained.load(MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING, folder, settings).float().eval()
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                folder, config=settings, use_fast=True, trust_remote_code=False
            )
        except (OpenRealmError, OSError, ValueError, KeyError) as error:
            reason = str(error).split("\n", 1)[0].rstrip(".")
            raise BadInput(
                f'"{model}" could not be loaded as a token classifier ({reason}); give its folder.'
            ) from error

    @property
    def in_workers(self) -> bool:
        """False: the model uses all cores by itself."""
        return False

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        """Spans of each text."""
        return [
            resolve([*date_spans(text), *(Span(a, b, KIND_OF_LABEL.get(kind, "entity")) for a, b, kind in named)])
            for text, named in zip(texts, self.named(texts), strict=True)
        ]

    def named(self, texts: Sequence[str]) -> list[list[Run]]:
        """Entities of each text as (start, end, the model's kind, such as "PER"), without dates found by rule."""
        found: list[list[Run]] = [[] for _ in texts]
        by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for first in range(0, len(texts), _BATCH_TEXTS):
            chosen = by_length[first : first + _BATCH_TEXTS]
            for i, words in zip(chosen, self._words([texts[i] for i in chosen]), strict=True):
                found[i] = _entities(words)
        return found

    def _words(self, texts: list[str]) -> list[list[_Word]]:
        """Labelled words of each text; a text longer than the model's window is read in overlapping windows."""
        import torch

        longest = min(512, self._tokenizer.model_max_length, self._model.config.max_position_embeddings)
        encoded = self._tokenizer(
            texts,
            return_tensors="pt",
            padding=True,
            truncation=True,
            max_length=longest,
            stride=longest // 4,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        with torch.inference_mode():
            inputs = {name: encoded[name] for name in ("input_ids", "attention_mask")}
            labels = self._model(**inputs).logits.argmax(-1).tolist()
        # Where windows overlap, a word's label comes from the one that shows more of its context.
        best: list[dict[int, tuple[int, _Word]]] = [{} for _ in texts]
        for window, text_index in enumerate(encoded["overflow_to_sample_mapping"].tolist()):
            offsets = encoded["offset_mapping"][window].tolist()
            for context, word in self._window(encoded.word_ids(window), offsets, labels[window]):
                known = best[text_index].get(word[0])
                if known is None or known[0] < context:
                    best[text_index][word[0]] = (context, word)
        return [_without_overlap(sorted(known.values(), key=lambda entry: entry[1])) for known in best]

    def _window(
        self, word_ids: list[int | None], offsets: list[list[int]], labels: list[int]
    ) -> Iterator[tuple[int, _Word]]:
        """Each word with its distance, in pieces, from the nearer end of the window."""
        pieces = [(w, o, n) for w, o, n in zip(word_ids, offsets, labels, strict=True) if w is not None]
        position = 0
        for _, group in itertools.groupby(pieces, key=lambda piece: piece[0]):
            of_word = list(group)
            context = min(position, len(pieces) - position - len(of_word))
            position += len(of_word)
            yield context, (of_word[0][1][0], of_word[-1][1][1], self._model.config.id2label[of_word[0][2]])


def _without_overlap(entries: Sequence[tuple[int, _Word]]) -> list[_Word]:
    """The words in order, without parts of words cut off at a window's end that another window shows whole."""
    kept: list[_Word] = []
    for _, word in entries:
        if not kept or kept[-1][1] <= word[0]:
            kept.append(word)
    return kept


def _entities(words: Sequence[_Word]) -> list[Run]:
    """Runs of words of one kind as character ranges; both IOB schemes are read."""
    return [(words[a][0], words[b - 1][1], kind) for a, b, kind in runs(label for _, _, label in words)]
