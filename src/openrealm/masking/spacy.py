"""The tagger "spacy": named entities of a spaCy pipeline, with dates found by rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from openrealm.corpus.tagger import Tagger
from openrealm.errors import BadInput, NotInstalled
from openrealm.masking.dates import date_spans
from openrealm.masking.spans import KIND_OF_LABEL, resolve
from openrealm.types import Span


class SpacyTagger(Tagger):
    """Tags with `spacy.load(model)`, a package or a folder. Labels other than dates and numbers are entities."""

    def __init__(self, model: str) -> None:
        """Raises NotInstalled without spaCy, BadInput if the model could not be loaded."""
        try:
            import spacy
        except ModuleNotFoundError as error:
            raise NotInstalled(
                f'The tagger "spacy:{model}" needs spaCy; install it with: pip install "openrealm[spacy]".'
            ) from error
        try:
            self._pipeline: Any = spacy.load(model)
        except (OSError, ValueError) as error:
            raise BadInput(
                f'spaCy could not load "{model}" ({error}); download it with: python -m spacy download NAME.'
            ) from error
        self.name = f"spacy:{model}"

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        """Spans of each text."""
        documents = self._pipeline.pipe(texts)
        return [resolve([*date_spans(text), *_entities(d)]) for text, d in zip(texts, documents, strict=True)]


def _entities(document: Any) -> list[Span]:
    return [Span(e.start_char, e.end_char, KIND_OF_LABEL.get(e.label_, "entity")) for e in document.ents]
